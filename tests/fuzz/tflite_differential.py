"""Random TFLite models of one operator, converted and run here and by LiteRT: the answers must agree.

    PYTHONPATH=tests:tests/fuzz python tests/fuzz/tflite_differential.py FIRST_SEED COUNT [OPERATOR ...]

Tries COUNT seeds of every operator in every type; prints what is wrong, and why models are refused.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import OpResolverType
from tflite_nets import Case, Const, build, litert
from tflite_ops import OPS, Gen, MisfitError

from converter.errors import UnsupportedError
from converter.exporter import export
from converter.importers.tflite import load
from converter.passes import optimize
from converter.witness import feed
from lite_runtime import _native
from lite_runtime.errors import UnsupportedModelError

PASS, REFUSED, WRONG, NO_WITNESS = "pass", "refused", "WRONG", "no witness"
TYPES = (np.float32, np.int32, np.int64, np.bool_, np.int8, np.uint8)
# Of the largest value.
_TOLERANCE = 2e-5
# Which operands are a layer's input, weights and bias.
_LAYERS = {
    "CONV_2D": (0, 1, 2),
    "DEPTHWISE_CONV_2D": (0, 1, 2),
    "FULLY_CONNECTED": (0, 1, 2),
    "TRANSPOSE_CONV": (2, 1, 3),
}
_WINDOWS = frozenset([*_LAYERS, "AVERAGE_POOL_2D", "MAX_POOL_2D"])
# Operators whose operands and results have one scale.
_SHARED = frozenset({
    *("BATCH_TO_SPACE_ND", "BROADCAST_TO", "CONCATENATION", "DEPTH_TO_SPACE", "EXPAND_DIMS", "EMBEDDING_LOOKUP"),
    *("FILL", "GATHER", "GATHER_ND", "MAXIMUM", "MAX_POOL_2D", "AVERAGE_POOL_2D", "MINIMUM", "MIRROR_PAD", "ONE_HOT"),
    *("PACK", "PAD", "PADV2", "REDUCE_MAX", "REDUCE_MIN", "RESHAPE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"),
    *("REVERSE_V2", "SELECT", "SELECT_V2", "SLICE", "SPACE_TO_BATCH_ND", "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V"),
    *("SQUEEZE", "STRIDED_SLICE", "TILE", "TOPK_V2", "TRANSPOSE", "UNPACK", "ZEROS_LIKE"),
    *("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"),
})  # fmt: skip
# Results whose scale and zero point (of int8) TFLite prescribes.
_PRESCRIBED = {
    "LOGISTIC": (1 / 256, -128), "SOFTMAX": (1 / 256, -128), "TANH": (1 / 128, 0), "L2_NORMALIZATION": (1 / 128, 0),
    "LOG_SOFTMAX": (16 / 256, 127),
}  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    op: str
    dtype: np.dtype
    seed: int
    kind: str
    reason: str = ""


def make(op: str, seed: int, dtype: Any) -> Case:
    """Raises MisfitError when LiteRT has no such operator."""
    gen = Gen(op, seed, dtype)
    case = OPS[op](gen)
    return quantized(case, gen.asked) if gen.quantized else case


def answers(case: Case) -> tuple[Case, list[np.ndarray]]:
    """LiteRT's answers, and the case with the version of the operator that it knows."""
    for version in range(1, 4):
        tried = replace(case, version=version)
        try:
            return tried, litert(build(tried), case.inputs)
        except (ValueError, RuntimeError) as error:
            if "Didn't find op" not in str(error):
                raise MisfitError from error
    raise MisfitError


def quantized(case: Case, dtype: np.dtype) -> Case:
    """The same operator on 8-bit integers, with scales that suit its operands and its results."""
    if case.op == "QUANTIZE":
        return replace(case, results=[dtype], quantization={"y0": _parameters([case.inputs[0]], dtype)})
    ranges = [] if case.op == "DEQUANTIZE" else answers(case)[1]
    arrays = [x.array if isinstance(x, Const) else x for x in case.operands]
    floats = [i for i, x in enumerate(arrays) if x.dtype == np.float32]
    own = {i: _parameters([arrays[i]], dtype) for i in floats}
    results = [i for i, kind in enumerate(case.results) if np.dtype(kind) == np.float32]
    found = {i: _parameters([ranges[i]], dtype) for i in results if ranges}
    if case.op in _SHARED:
        common = _parameters([arrays[i] for i in floats], dtype)
        own, found = dict.fromkeys(own, common), dict.fromkeys(found, common)
    if case.op in _PRESCRIBED:
        scale, zero = _PRESCRIBED[case.op]
        found = {0: (scale, zero + 128 if dtype.kind == "u" else zero)}
    operands, stored = list(case.operands), {}
    for i in floats:
        scale, zero, kind = *own[i], dtype
        if case.op in _LAYERS and i != _LAYERS[case.op][0]:
            scale, zero, kind = _of_layer(case.op, i, arrays, own, dtype)
        constant = isinstance(case.operands[i], Const)
        stored[f"{'const' if constant else 'x'}{i}"] = (scale, zero)
        limits, divisor = np.iinfo(kind), np.asarray(scale, np.float32)
        if divisor.ndim and zero == 0 and arrays[i].ndim > 1:
            divisor = divisor.reshape(-1, *[1] * (arrays[i].ndim - 1))
        number = np.asarray(np.clip(np.rint(arrays[i] / divisor) + (zero or 0), limits.min, limits.max), kind)
        operands[i] = Const(number, kind) if constant else number
    stored |= {f"y{i}": parameters for i, parameters in found.items()}
    kinds = [dtype if i in results and case.op != "DEQUANTIZE" else kind for i, kind in enumerate(case.results)]
    return replace(case, operands=operands, results=kinds, quantization=stored)


def _parameters(arrays: Sequence[np.ndarray], dtype: np.dtype) -> tuple[Any, int]:
    low = min(0.0, *(float(a.min(initial=0)) for a in arrays), 0.0)
    high = max(0.0, *(float(a.max(initial=0)) for a in arrays), 0.0)
    scale = max(high - low, 1e-3) / 255
    return scale, int(np.iinfo(dtype).min - round(low / scale))


def _of_layer(
    op: str, i: int, arrays: list[np.ndarray], own: dict[int, tuple[Any, int]], dtype: np.dtype
) -> tuple[Any, int | None, np.dtype]:
    """Scale, zero point and type of a layer's weights or bias; int8 filters have a scale per channel."""
    x, weight, _ = _LAYERS[op]
    scale: Any = own[weight][0]
    zero: int | None = own[weight][1]
    if dtype.kind == "i":
        axis = arrays[weight].ndim - 1 if op == "DEPTHWISE_CONV_2D" else 0
        others = tuple(a for a in range(arrays[weight].ndim) if op == "FULLY_CONNECTED" or a != axis)
        scale = np.maximum(np.abs(arrays[weight]).max(others), 0.05) / 127
        zero = None if axis else 0
    if i == weight:
        return scale, zero, dtype
    return scale * own[x][0], 0, np.dtype(np.int32)


def judge(op: str, seed: int, dtype: Any, folder: Path) -> Verdict:
    """Any exception but a refusal is a defect and left alone."""
    kind = np.dtype(dtype)
    try:
        case, expected = answers(make(op, seed, dtype))
    except MisfitError:
        return Verdict(op, kind, seed, NO_WITNESS)
    if op == "SELECT_V2" and expected[0].size == 1:  # LiteRT makes a scalar of a single element
        operands = [x.array if isinstance(x, Const) else x for x in case.operands]
        expected = [expected[0].reshape(np.broadcast_shapes(*(x.shape for x in operands)))]
    if op in _WINDOWS and not expected[0].size:  # a window that does not fit
        return Verdict(op, kind, seed, NO_WITNESS)
    data = build(case, [y.shape for y in expected])
    path = folder / "net.tflite"
    path.write_bytes(data)
    for level in ("none", "general"):
        try:
            model = load(str(path))
            optimize(model, level)
            session = _native.Session(_native.Model.from_buffer(export(model)), threads=1)
            feed(session, case.inputs)
            session.run()
        except (UnsupportedError, UnsupportedModelError) as error:
            return Verdict(op, kind, seed, REFUSED, str(error).split("\n")[-1])
        wrong = difference(session.output_values(), expected, kind)
        if wrong and op == "REDUCE_PROD" and kind.itemsize == 1:
            return Verdict(op, kind, seed, NO_WITNESS)  # LiteRT rounds after every factor
        if wrong and difference(session.output_values(), litert(data, case.inputs, OpResolverType.BUILTIN_REF), kind):
            shown = f"{case} of {[x.shape for x in case.inputs]}"
            return Verdict(op, kind, seed, WRONG, f"{shown} {level}: {wrong}")
    return Verdict(op, kind, seed, PASS)


def difference(actual: list[np.ndarray], expected: list[np.ndarray], kind: np.dtype) -> str:
    """What differs, or an empty string. Quantised results may differ by 1."""
    for i, (found, wanted) in enumerate(zip(actual, expected, strict=True)):
        wanted = wanted.astype(np.int32) if wanted.dtype == np.int64 else wanted  # which .ms models do not have
        if found.shape != wanted.shape or found.dtype != wanted.dtype:
            return f"output {i} is {found.dtype}{found.shape}, expected {wanted.dtype}{wanted.shape}"
        error = np.abs(found.astype(np.float64) - wanted.astype(np.float64)).max(initial=0)
        largest = np.abs(wanted.astype(np.float64)).max(initial=0)
        is_float = wanted.dtype.kind == "f"
        allowed = _TOLERANCE * max(largest, 1e-3) if is_float else float(wanted.dtype == kind and kind.itemsize == 1)
        if kind.kind == "b":
            allowed = 0
        if not error <= allowed:
            return f"output {i}: {found.ravel()[:8]}, expected {wanted.ravel()[:8]}, differ by {error:.3g}"
    return ""


def verdicts(first: int, count: int, ops: Sequence[str], folder: Path) -> Iterator[Verdict]:
    for op in ops:
        for dtype in TYPES:
            for seed in range(first, first + count):
                yield _guarded(op, seed, dtype, folder)


def reason(text: str) -> str:
    """Why an operator is refused, without its name and its numbers."""
    return re.sub(r"^\s*\S+ '[^']*': ", "", text)[:110]


def _guarded(op: str, seed: int, dtype: Any, folder: Path) -> Verdict:
    try:
        return judge(op, seed, dtype, folder)
    except Exception as error:
        return Verdict(op, np.dtype(dtype), seed, WRONG, f"{type(error).__name__}: {error}".replace("\n", " ")[:300])


def main() -> int:
    first, count, ops = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:] or sorted(OPS)
    kinds: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for verdict in verdicts(first, count, ops, Path(folder)):
            kinds[verdict.kind] += 1
            if verdict.kind == WRONG:
                print(f"{verdict.op} {verdict.dtype} seed {verdict.seed}: {verdict.reason}", flush=True)
            elif verdict.kind == REFUSED:
                reasons[f"{verdict.op} {verdict.dtype}: {reason(verdict.reason)}"] += 1
    print(dict(kinds))
    for text, times in sorted(reasons.items()):
        print(times, text)
    return bool(kinds[WRONG])


if __name__ == "__main__":
    sys.exit(main())
