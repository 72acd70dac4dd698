"""Runs ONNX's own node tests through the converter and the runtime, and sorts the results into classes."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper

from converter.errors import UnsupportedError
from converter.exporter import export
from converter.importers.onnx import load
from converter.passes import optimize
from lite_runtime import _native
from lite_runtime.errors import UnsupportedModelError

PASS, REFUSED, WRONG, CRASH = "pass", "refused", "WRONG", "crash"
_INFERENCE_TYPES = {TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL}


@dataclass
class Outcome:
    """What became of one test; ``detail`` is the reason of a refusal or the error found."""

    name: str
    kind: str
    detail: str = ""
    operators: list[tuple[str, str]] = field(default_factory=list)
    opset: int = 0
    float_inference: bool = False


@cache
def node_tests() -> list[Any]:
    """All node tests of the installed onnx package."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        from onnx.backend.test.loader import load_model_tests

        return load_model_tests(kind="node")


def is_float_inference(case: Any) -> bool:
    """Whether the test is about inference on ordinary tensors: float, int64 and bool, default domain, one operator."""
    graph = case.model.graph
    types = {
        v.type.tensor_type.elem_type if v.type.WhichOneof("value") == "tensor_type" else None
        for v in (*graph.input, *graph.output, *graph.value_info)
    }
    operators = {node.op_type for node in graph.node}
    losses = {"SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss"}
    return (
        types <= _INFERENCE_TYPES
        and "expanded" not in case.name
        and "train" not in case.name
        and all(node.domain == "" for node in graph.node)
        and not operators & losses
    )


def run_case(case: Any, folder: Path, level: str) -> Outcome:
    """Converts the case's model at an optimisation level, runs it on every recorded input and compares."""
    graph = case.model.graph
    outcome = Outcome(
        case.name,
        PASS,
        operators=sorted({(node.domain, node.op_type) for node in graph.node}),
        opset=max((o.version for o in case.model.opset_import if o.domain in ("", "ai.onnx")), default=0),
        float_inference=is_float_inference(case),
    )
    path = folder / "model.onnx"
    path.write_bytes(case.model.SerializeToString())
    try:
        model = load(path)
        optimize(model, level)
        session = _native.Session(_native.Model.from_buffer(export(model)), threads=1)
        for inputs, expected in case.data_sets:
            problem = _compare(run(session, inputs), expected, case.rtol, case.atol)
            if problem:
                outcome.kind, outcome.detail = WRONG, problem
    except (UnsupportedError, UnsupportedModelError) as error:
        outcome.kind, outcome.detail = REFUSED, str(error).replace(str(path), "model.onnx")
    except Exception as error:
        outcome.kind, outcome.detail = CRASH, f"{type(error).__name__}: {error}"
    return outcome


def run_cases(cases: Sequence[Any], folder: Path, level: str = "general") -> Iterator[Outcome]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for case in cases:
            if os.environ.get("ONNX_SUITE_VERBOSE"):
                print(case.name, flush=True)
            yield run_case(case, folder, level)


def run(session: _native.Session, inputs: Sequence[Any]) -> list[np.ndarray]:
    """The session's outputs for inputs of any shape: 4-D ones go in as NHWC, 64-bit integers as 32."""
    arrays = [a.transpose(0, 2, 3, 1) if a.ndim == 4 else a for a in map(_array, inputs)]
    session.resize([a.shape for a in arrays])
    for index, (array, info) in enumerate(zip(arrays, session.inputs())):
        session.set_input(index, _narrowed(array, info.dtype.numpy))
    session.run()
    return session.output_values()


def _array(value: Any) -> np.ndarray:
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)


def _narrowed(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if array.dtype == np.int64 and dtype == np.int32:
        limits = np.iinfo(np.int32)
        array = np.clip(array, limits.min, limits.max)
    return np.ascontiguousarray(array.astype(dtype, copy=False)).reshape(array.shape)


def _compare(actual: list[np.ndarray], expected: Sequence[Any], rtol: float, atol: float) -> str:
    """What differs, or an empty string."""
    if len(actual) != len(expected):
        return f"{len(actual)} outputs, expected {len(expected)}"
    for i, (found, wanted) in enumerate(zip(actual, expected)):
        want = _array(wanted)
        if found.shape != want.shape:
            return f"output {i}: shape {found.shape}, expected {want.shape}"
        # Where large terms cancel, float32 leaves a rest of the order of their rounding error.
        finite = np.abs(want[np.isfinite(want)]) if want.dtype.kind == "f" else want
        rest = max(atol, 1e-6 * float(finite.max(initial=0))) if want.dtype.kind == "f" else atol
        if not np.allclose(found, want, rtol=rtol, atol=rest, equal_nan=True):
            wide = np.abs(found.astype(np.float64) - want.astype(np.float64))
            return f"output {i}: differs by up to {np.nanmax(wide):.3g}"
    return ""
