"""Runs a converted model beside an independent witness and says how far their answers lie apart."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from converter import engine
from converter import witness as witnesses
from converter.errors import UsageError
from converter.fmk import FmkType
from converter.importers.layout import channels_last_perm
from converter.ir.graph import Model, Value
from converter.quant.samples import arrays_of
from lite_runtime import _native
from lite_runtime.errors import LiteRuntimeError, UnsupportedModelError

# Largest error allowed, as a fraction of the largest magnitude in the witness's output.
DEFAULT_THRESHOLD = 1e-3
# Unknown dimensions are tried with each of these until the model runs.
_SIZES = (64, 16, 7, 1)
_SEED = 0


@dataclass(frozen=True)
class OutputCheck:
    """One output: errors are fractions of the witness's largest magnitude, ``cosine`` is of the flattened values."""

    name: str
    max_error: float
    mean_error: float
    cosine: float


@dataclass
class CheckResult:
    """What a check found. ``first_diverging`` names the first layer that is wrong ("" when none is)."""

    witness: str
    data: str
    threshold: float
    outputs: list[OutputCheck] = field(default_factory=list)
    first_diverging: str = ""
    note: str = ""

    @property
    def passed(self) -> bool:
        return all(o.max_error <= self.threshold for o in self.outputs)

    def as_dict(self) -> dict[str, object]:
        return {"passed": self.passed, **asdict(self)}

    def __str__(self) -> str:
        worst = max(self.outputs, key=lambda o: o.max_error)
        text = (
            f"checked against {self.witness} on {self.data}: largest error {worst.max_error:.1e} of the largest value "
            f"(output '{worst.name}', mean {worst.mean_error:.1e}, cosine {worst.cosine:.6f})"
        )
        return f"{text}; {self.note}" if self.note else text


@dataclass(frozen=True)
class Conversion:
    """A conversion to be checked.

    Attributes:
        source: the source file.
        data: the bytes of the .ms file.
        converted: the graph they were written from, for the names of its layers.
        load: imports the source again, with the user's input shapes.
    """

    source: str
    fmk: FmkType
    data: memoryview
    converted: Model
    load: Callable[[], Model]


@dataclass(frozen=True)
class Options:
    """``data`` is a .npz with one array per input, by name or in order; by default random numbers serve.
    ``channels_last``: the converted model takes 4-D inputs as NHWC. ``encrypted``: no other engine can read it."""

    data: Path | None = None
    threshold: float = DEFAULT_THRESHOLD
    channels_last: bool = True
    encrypted: bool = False


def check(conversion: Conversion, options: Options) -> CheckResult:
    """Compares the converted model with a witness of the source.

    Raises SourceFileError or UsageError when the data cannot be used, or none is found that the model takes.
    """
    imported = conversion.load()
    witness, note = witnesses.find(conversion.source, conversion.fmk, conversion.load, options.encrypted)
    swap = options.channels_last and not imported.channels_last
    session = _native.Session(_native.Model.from_buffer(conversion.data))
    last: Exception | None = None
    taken = [info.dtype.numpy for info in session.inputs()]
    for inputs in _candidates(imported.main.inputs, taken, options.data):
        try:
            witnesses.feed(session, [_to_channels_last(x) if swap and x.ndim == 4 else x for x in inputs])
            session.run()
            expected = witness.run(inputs)
        except (LiteRuntimeError, RuntimeError, ValueError) as error:
            last = error
            continue
        result = CheckResult(witness.name, str(options.data or "random inputs"), options.threshold, note=note)
        names = [value.name for value in conversion.converted.main.outputs]
        result.outputs = [compare(n, a, b) for n, a, b in zip(names, session.output_values(), expected)]
        if not result.passed:
            layers = witnesses.observed(session, witnesses.value_names(conversion.converted))
            result.first_diverging = _first_diverging(layers, witness.layers(inputs), options.threshold)
        return result
    if isinstance(last, UnsupportedModelError):
        # Found only now, where shapes are open: no input makes it run.
        raise engine.translated(conversion.source, last) from last
    raise UsageError(f"the check cannot run the model ({last}): give inputShape or checkData, or check=off")


def compare(name: str, found: np.ndarray, expected: np.ndarray) -> OutputCheck:
    """Errors of an output; infinite when shapes, or the places of values that are not finite, differ."""
    if found.shape != expected.shape:
        return OutputCheck(name, np.inf, np.inf, 0.0)
    a, b = found.astype(np.float64).ravel(), expected.astype(np.float64).ravel()
    finite = np.isfinite(b)
    same = np.array_equal(a[~finite], b[~finite], equal_nan=True) and bool(np.isfinite(a[finite]).all())
    if not same:
        return OutputCheck(name, np.inf, np.inf, 0.0)
    a, b = a[finite], b[finite]
    if a.size == 0:
        return OutputCheck(name, 0.0, 0.0, 1.0)
    scale = float(np.abs(b).max()) or 1.0
    # Where the user asked for integers the fraction is lost.
    slack = 1.0 if found.dtype.kind in "iu" and expected.dtype.kind == "f" else 0.0
    errors = np.maximum(np.abs(a - b) - slack, 0) / scale
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    cosine = float(a @ b) / norms if norms else float(np.array_equal(a, b))
    return OutputCheck(name, float(errors.max()), float(errors.mean()), cosine)


def _candidates(inputs: Sequence[Value], taken: Sequence[np.dtype], check_data: Path | None) -> list[list[np.ndarray]]:
    if check_data is not None:
        return [_read(inputs, check_data)]
    is_open = any(d < 0 for v in inputs for d in v.shape or ())
    # Dynamic models often tie dimensions together, and a batch of one suits most.
    return [_random(inputs, taken, size) for size in (_SIZES if is_open else _SIZES[:1])]


def _random(inputs: Sequence[Value], taken: Sequence[np.dtype], size: int) -> list[np.ndarray]:
    """Standard normal numbers where source and converted model take floats; else 0 or 1, which are valid indices
    almost anywhere."""
    random = np.random.default_rng(_SEED)
    arrays = []
    for value, converted in zip(inputs, taken):
        shape = [d if d >= 0 else 1 if axis == 0 else size for axis, d in enumerate(value.shape or ())]
        dtype = value.dtype.numpy
        is_float = dtype.kind == converted.kind == "f"
        numbers = random.standard_normal(shape) if is_float else random.integers(0, 2, shape)
        arrays.append(np.asarray(numbers).astype(dtype))
    return arrays


def _read(inputs: Sequence[Value], path: Path) -> list[np.ndarray]:
    stored = arrays_of(path)
    in_order = iter(stored.values())
    by_name = all(value.name in stored for value in inputs)
    if not by_name and len(stored) < len(inputs):
        names = ", ".join(f"'{v.name}'" for v in inputs)
        raise UsageError(f"{path}: holds {len(stored)} array(s), but the model has {len(inputs)} input(s): {names}")
    return [stored[v.name] if by_name else next(in_order) for v in inputs]


def _to_channels_last(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(channels_last_perm(4)))


def _first_diverging(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], threshold: float) -> str:
    for name, array in found.items():
        if name in expected and not _agree(array, expected[name], threshold):
            return name
    return ""


def _agree(a: np.ndarray, b: np.ndarray, threshold: float) -> bool:
    """Whether two layers hold the same, be it in another layout."""
    if sorted(a.shape) != sorted(b.shape):
        return True  # not the same thing: nothing can be said
    orders = itertools.permutations(range(a.ndim)) if a.shape != b.shape and a.ndim <= 4 else [range(a.ndim)]
    turned = (a.transpose(tuple(order)) for order in orders)
    return any(compare("", t, b).max_error <= threshold for t in turned if t.shape == b.shape)
