"""A library with only what given models need: their operators, and the kernels and forms that these call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from converter.errors import ConvertError
from converter.importers import ms
from converter.ir.graph import Node, Value, attribute_fields
from converter.schema import schema
from lite_runtime import _native, _profile
from lite_runtime.types import DataType
from packaging_tools.errors import PackagingError

_INTEGERS = (DataType.INT8, DataType.UINT8, DataType.INT16)
_WITH_STORED_WEIGHTS = ("QUANT_WEIGHT", "WeightQuant", "QUANT_DYNAMIC")


def of_models(paths: Iterable[Path]) -> dict[str, str]:
    """What CMake must be told (see core/selection.h). Raises LiteRuntimeError for a file that is no model."""
    operators: set[str] = set()
    quantized: set[str] = set()
    forms: set[str] = set()
    for path in paths:
        engine = _native.Model.from_file(path)
        for node in _profile.nodes(engine):
            operators.add(node.op)
            quantized.update([node.op] if node.quantized else [])
        try:
            model = ms.load(path)
        except ConvertError as error:
            raise PackagingError(str(error)) from None
        nodes = [node for graph in model.graphs for node in graph.nodes]
        quantized.update(node.op for node in nodes if _reads_integers(node))
        forms.update(f"DType::{_in_cpp(dtype)}" for dtype in _dtypes(engine, nodes))
        forms.update(f"schema::{form}" for node in nodes for form in _enumerators(node))
        forms.update(f"Part::k{part}" for node in nodes for part in _parts(node))
    listed = {"OPS": operators, "QUANTIZED_OPS": quantized, "FORMS": forms}
    return {f"LITE_RUNTIME_{name}": ";".join(sorted(found)) for name, found in listed.items()}


def _reads_integers(node: Node) -> bool:
    """Whether only operators for quantised integers may take it, or one that moves them without looking."""
    first = node.inputs[0] if node.inputs else None
    return first is not None and first.dtype in _INTEGERS and (bool(first.quant) or node.quant_type == "QUANT_DYNAMIC")


def _dtypes(engine: _native.Model, nodes: list[Node]) -> set[DataType]:
    """Of what is computed: all tensors but such constants as axes and shapes, which no operator has as input 0."""
    main = {value for node in nodes for value in (*node.inputs[:1], *node.outputs)}
    aside = {value for node in nodes for value in node.inputs[1:]}
    names = {value.name for value in aside - main if value.data is not None}
    session = _native.Session(engine, threads=1, infer_only=True)
    inferred = {tensor.dtype for tensor in session.tensors() if tensor.name not in names}
    return (inferred | {value.dtype for value in main}) - {DataType.UNKNOWN, DataType.INVALID}


def _in_cpp(dtype: DataType) -> str:
    return "k" + dtype.name.title().replace("Ui", "UI")


def _enumerators(node: Node) -> Iterator[str]:
    """Those that its attributes have, as in the C++ of the schema."""
    for field in attribute_fields(node.op).values():
        if field.enum is not None and field.kind not in ("utype", "vector"):
            yield f"{field.enum.name}_{node.attr(field.name)}"
    if node.op == "Custom":  # whose attributes are texts
        yield from (f"ActivationType_{name}" for name in schema().enums["ActivationType"].values)


def _parts(node: Node) -> Iterator[str]:
    """Enumerators of core/selection.h's Part."""
    stored = node.quant_type in _WITH_STORED_WEIGHTS or node.op == "Custom"
    if stored or any(_is_encoded(value) for value in node.inputs):
        yield "EncodedConstants"
    if node.op != "Conv2DFusion":
        return
    shape = node.inputs[1].shape if len(node.inputs) > 1 else None
    window = tuple(shape[1:3]) if shape is not None and len(shape) == 4 else None
    if window in (None, (5, 5)):
        yield "Depthwise5x5"
    if window in (None, (3, 3)) and node.attr("group") == 1 and set(node.attr("stride") or [1]) == {1}:
        yield "Winograd"


def _is_encoded(value: Value) -> bool:
    return value.data is not None and (value.compression != "NONE" or value.dtype == DataType.FLOAT16)


def write(definitions: Mapping[str, str], source: Path) -> None:
    """Writes them into a copy of the project's sources, which is then built so."""
    lines = [f'set({name} "{value}" CACHE STRING "")\n' for name, value in definitions.items()]
    (source / "selected_ops.cmake").write_text("".join(lines), encoding="utf-8")
