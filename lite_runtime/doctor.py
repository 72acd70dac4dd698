"""``lite_runtime doctor``: what this machine offers, what the engine makes of it, and whether it computes right.

Exit code 0; 1 when the self-test fails; 2 for a wrong flag.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import lite_runtime
from lite_runtime import _machine, _native, _profile
from lite_runtime.errors import UnsupportedModelError

_CASE = Path(__file__).resolve().parent / "self_test.npz"
# Largest errors of probabilities, against ONNX Runtime's float answer and against the scalar tier: floats are rounded
# in another order on every tier; integers are the same on each, but coarse, and only the softmax is computed in floats.
_TOLERANCES = {"float": (1e-5, 1e-5), "int8": (0.05, 1e-6)}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    p = argparse.ArgumentParser("lite_runtime doctor", description=__doc__, allow_abbrev=False)
    p.add_argument("--json", action="store_true", help="print everything as one JSON object")
    args = p.parse_args(arguments)
    report = examine()
    print(json.dumps(report, indent=1) if args.json else _text(report))
    return 0 if report["self_test"]["passed"] else 1


def examine() -> dict[str, Any]:
    """Everything the command tells, as plain values.

    Keys: version, library, python, numpy, machine, tier, tier_reason, tiers, float16 (whether contexts that prefer it
    get it), features, cores, caches, memory_bytes, page_bytes, threads (that a model gets by default), self_test
    (passed, detail).
    """
    tiers = _profile.tiers()
    tier, reason = _chosen(tiers, os.environ.get("LITE_RUNTIME_ISA"))
    return {
        "version": lite_runtime.__version__,
        "library": _native._lib._name,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": _machine.machine(),
        "tier": tier,
        "tier_reason": reason,
        "tiers": {t.name: t.available for t in tiers},
        "float16": _native.OFFERS_HALF,
        "features": _machine.features(),
        "cores": _machine.cores(),
        "caches": _machine.caches(),
        "memory_bytes": _machine.memory_bytes(),
        "page_bytes": _machine.page_bytes(),
        "threads": len(os.sched_getaffinity(0)),
        "self_test": self_test(),
    }


def _chosen(tiers: Sequence[_profile.Tier], wanted: str | None) -> tuple[str, str]:
    """The tier in use, and why it is that one."""
    (tier,) = (t.name for t in tiers if t.chosen)
    beyond = [t.name for t in tiers if not t.available]
    reason = "the best this CPU can run" + (f"; it cannot run {', '.join(beyond)}" if beyond else "")
    if not wanted:
        return tier, reason
    if wanted == tier:
        return tier, f"LITE_RUNTIME_ISA={wanted} asks for it"
    known = wanted in {t.name for t in tiers}
    return tier, f"{reason} (LITE_RUNTIME_ISA={wanted} is {'not for this CPU' if known else 'no tier of this build'})"


def self_test() -> dict[str, Any]:
    """Runs a small network, in float32 and in int8, in a process of its own, which may die of it.

    The answers are compared with ONNX Runtime's and with those of the engine's scalar tier; the integers must be
    equal to these. ``passed`` and, in words, ``detail``.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            result = _verdict()
        except Exception as error:  # whatever happens is the result
            result = {"passed": False, "detail": f"{type(error).__name__}: {error}"}
        with os.fdopen(writer, "w") as out:
            out.write(json.dumps(result))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as received:
        text = received.read()
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        advice = "try LITE_RUNTIME_ISA=scalar, and report this CPU"
        return {"passed": False, "detail": f"the process died of {name}: {advice}"}
    result = json.loads(text)
    assert isinstance(result, dict)
    return result


def _verdict() -> dict[str, Any]:
    # A library made by lite_package --ops-from may lack that tier, or what the networks need.
    scalar = _scalar_engine() if "scalar" in {tier.name for tier in _profile.tiers()} else None
    with np.load(_CASE) as case:
        x, recorded = case["x"], case["y"]
        models = {name: case[name].tobytes() for name in _TOLERANCES}
    ran = []
    for name, (of_recorded, of_scalar) in _TOLERANCES.items():
        try:
            answer = _run(_native, models[name], x)
        except UnsupportedModelError as refusal:
            if "this library leaves out" not in str(refusal):
                raise
            continue
        ran.append(name)
        others = [("ONNX Runtime's", recorded, of_recorded)]
        if scalar is not None:
            others.append(("the scalar tier's", _run(scalar, models[name], x), of_scalar))
        for whose, expected, tolerance in others:
            error = float(np.abs(answer.astype(np.float64) - expected).max())
            if not error <= tolerance:
                return {"passed": False, "detail": f"the {name} network's answer differs from {whose} by {error:.3g}"}
    if len(ran) < len(_TOLERANCES):
        told = f"the {ran[0]} network" if ran else "no network"
        return {"passed": True, "detail": f"the library lacks operators of the self-test: {told} could be run"}
    witnesses = "ONNX Runtime and the scalar tier" if scalar is not None else "ONNX Runtime"
    return {"passed": True, "detail": f"a network in float32 and in int8 agrees with {witnesses}"}


def _run(engine: Any, model: bytes, x: np.ndarray) -> np.ndarray:
    session = engine.Session(engine.Model.from_buffer(model))
    session.set_input(0, x)
    session.run()
    (value,) = session.output_values()
    assert isinstance(value, np.ndarray)
    return value


def _scalar_engine() -> Any:
    """A second copy of the engine, which has chosen its scalar tier."""
    with tempfile.TemporaryDirectory(prefix="lite_runtime-") as folder:
        copy = shutil.copy(_native._lib._name, folder)
        os.environ.update({"LITE_RUNTIME_LIBRARY": copy, "LITE_RUNTIME_ISA": "scalar"})
        spec = importlib.util.spec_from_file_location("lite_runtime._native_scalar", _native.__file__)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    if module.isa() != "scalar":
        raise RuntimeError("a second copy of the engine cannot be loaded")
    return module


def _text(report: dict[str, Any]) -> str:
    known, test = report["features"], report["self_test"]
    lines = [
        ("lite_runtime", f"{report['version']} ({report['library']})"),
        ("Python", f"{report['python']}, NumPy {report['numpy']}, {report['machine']}"),
        ("tier", f"{report['tier']}: {report['tier_reason']}"),
        ("float16", "computed in where a context prefers it" if report["float16"] else "computed in float32"),
        ("CPU features", ", ".join(f"{name} {'yes' if known[name] else 'no'}" for name in known) or "not told"),
        *(("cores", _cores(group)) for group in report["cores"]),
        ("caches", ", ".join(f"L{c['level']} {c['type'].lower()} {c['size']}" for c in report["caches"]) or "not told"),
        ("memory", f"{report['memory_bytes'] / 2**30:.1f} GiB in pages of {report['page_bytes'] // 1024} KiB"),
        ("threads", f"{report['threads']}, unless a model is given another number"),
        ("self-test", f"{'passed' if test['passed'] else 'FAILED'}: {test['detail']}"),
    ]
    return "\n".join(f"{name:13} {value}" for name, value in lines)


def _cores(group: dict[str, Any]) -> str:
    numbers = group["cores"]
    parts = [f"{len(numbers)} {group.get('kind', '')}".strip(), group.get("model", "")]
    parts += [f"up to {group['max_mhz']} MHz" if "max_mhz" in group else "", group.get("governor", "")]
    parts.append(f"numbers {', '.join(map(str, numbers))}; {group['allowed']} may be used")
    return ", ".join(filter(None, parts))


if __name__ == "__main__":
    sys.exit(main())
