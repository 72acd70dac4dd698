"""The engines that are compared: what runs each, what converts for it, and which files it reads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORKER = ROOT / "benchmarks" / "worker.py"
CONVERT = ROOT / "benchmarks" / "convert.py"


@dataclass(frozen=True)
class Engine:
    """One engine.

    ``name`` is also the name of its converter, ``package`` its distribution, ``modules`` what running and converting
    need to import, ``suffixes`` of the files it reads. ``reported_only`` engines are beside the comparison;
    those without ``int8`` are measured in fp32 alone.
    """

    name: str
    title: str
    runner: str
    package: str
    modules: tuple[str, ...]
    converter_modules: tuple[str, ...]
    suffixes: tuple[str, ...]
    converter: str = ""
    int8: bool = False
    reported_only: bool = False

    def files(self, folder: Path, variant: str) -> list[Path]:
        return [folder / (variant + suffix) for suffix in self.suffixes]


OURS = "lite_runtime"
ONNX = Engine(
    "onnx", "", "", "onnx", (), ("torch", "torchvision", "onnx", "onnxslim", "onnxruntime"), (".onnx",), "onnx"
)
ENGINES = (
    Engine(OURS, "lite-runtime", "lite_runtime:LiteRuntime", "lite-runtime", ("lite_runtime",),
           ("converter",), (".ms",), "lite_runtime", int8=True),
    Engine("litert", "LiteRT", "litert:LiteRt", "ai-edge-litert", ("ai_edge_litert",),
           ("litert_torch", "ai_edge_quantizer"), (".tflite",), "litert", int8=True),
    Engine("onnxruntime", "ONNX Runtime", "onnxruntime:OnnxRuntime", "onnxruntime", ("onnxruntime",),
           ONNX.converter_modules, (".onnx",), "onnx", int8=True),
    Engine("mnn", "MNN", "mnn:Mnn", "mnn", ("MNN",), ("MNN",), (".mnn",), "mnn"),
    Engine("ncnn", "ncnn", "ncnn:Ncnn", "ncnn", ("ncnn",), ("pnnx", "torch"), (".ncnn.param", ".ncnn.bin"), "ncnn"),
    Engine("mindspore_lite", "MindSpore Lite", "lite_runtime:MindSporeLite", "mindspore-lite", ("mindspore_lite",),
           ("mindspore_lite",), (".mindspore_lite.ms",), "mindspore_lite"),
    Engine("openvino", "OpenVINO", "openvino:OpenVino", "openvino", ("openvino",), ONNX.converter_modules, (".onnx",),
           "onnx", int8=True, reported_only=True),
    Engine("tflite_runtime", "tflite-runtime", "litert:TfLite", "tflite-runtime", ("tflite_runtime",),
           ("litert_torch",), (".tflite",), "litert"),
)  # fmt: skip
BY_NAME = {engine.name: engine for engine in ENGINES}
NO_ENGINE = Engine("none", "NumPy alone", "base:NoEngine", "numpy", ("numpy",), (), ())


class Pythons:
    """Which Python runs each engine: this one, or what the user says (``--python NAME=PATH``)."""

    def __init__(self, settings: Sequence[str] = ()) -> None:
        self._paths: dict[str, str] = {}
        mindspore = os.environ.get("MINDSPORE_LITE_PYTHON") or shutil.which("python3.7")
        if mindspore:
            self._paths["mindspore_lite"] = mindspore
        for setting in settings:
            name, _, path = setting.partition("=")
            if name not in (*BY_NAME, *(f"{known}.convert" for known in (*BY_NAME, ONNX.name))) or not path:
                raise SystemExit(
                    f"--python {setting}: expected ENGINE=PATH or ENGINE.convert=PATH, where ENGINE is one of "
                    f"{', '.join(BY_NAME)}, or {ONNX.name}.convert=PATH"
                )
            self._paths[name] = path

    def to_run(self, engine: Engine) -> str:
        return self._paths.get(engine.name, sys.executable)

    def to_convert(self, engine: Engine) -> str:
        """Engines that read the same files share the converter's Python."""
        return self._paths.get(f"{engine.converter}.convert") or self._paths.get(engine.converter, sys.executable)


def missing(python: str, modules: Sequence[str]) -> str:
    """The first of these top-level modules that this Python does not have; "" when it has all."""
    code = (
        "import importlib.util, sys; "
        "print(next((m for m in sys.argv[1:] if importlib.util.find_spec(m) is None), ''))"
    )  # fmt: skip
    try:
        done = subprocess.run([python, "-c", code, *modules], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return f"a working {python}"
    return done.stdout.strip()


def versions(engines: Sequence[Engine], pythons: Pythons) -> dict[str, str]:
    """Version of each engine's distribution."""
    code = (
        "import sys\ntry:\n import importlib.metadata as m\n print(m.version(sys.argv[1]))\n"
        "except ImportError:\n import pkg_resources as p\n print(p.get_distribution(sys.argv[1]).version)\n"
    )  # fmt: skip
    found = {}
    for engine in engines:
        done = subprocess.run([pythons.to_run(engine), "-c", code, engine.package], capture_output=True, text=True)
        found[engine.name] = done.stdout.strip() or "unknown version"
    return found


def prepare(engine: Engine, variant: str, folder: Path, pythons: Pythons) -> str:
    """Makes the engine's files of a network unless they are there. Returns why there are none, "" when there are."""
    files = engine.files(folder, variant)
    if all(file.exists() for file in files):
        return ""
    python = pythons.to_convert(engine)
    absent = missing(python, engine.converter_modules)
    if absent:
        return f"cannot be converted: {absent} is not installed"
    command = [python, str(CONVERT), str(ROOT), engine.converter, variant, str(folder)]
    log = folder / f"{variant}.{engine.converter}.log"
    with log.open("w") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, env=_environment())
    if done.returncode == 0 and all(file.exists() for file in files):
        return ""
    return f"cannot be converted: see {log.name}"


def _environment() -> Mapping[str, str]:
    return {**os.environ, "PYTHONHASHSEED": "0"}
