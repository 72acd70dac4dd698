"""Reads ONNX models, opset 7 to the newest that the installed onnx package knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from converter.importers.onnx import (  # noqa: F401  (each registers its lowerings)
    activation,
    constant,
    control,
    elementwise,
    indexing,
    linear,
    movement,
    normalization,
    padding,
    pooling,
    quantized,
    quantized_pairs,
    recurrent,
    reduction,
    resize,
    sampling,
    signal,
    trigonometry,
)
from converter.importers.onnx.importer import Importer
from converter.importers.onnx.reader import fix_inputs, read
from converter.ir.graph import Model


def load(
    path: str | Path, input_shapes: Mapping[str, Sequence[int]] | None = None, *, allow_custom: bool = False
) -> Model:
    """The model in the file, with .ms operators and their layouts.

    Inputs and outputs keep their names, order, shapes and element types. ``input_shapes`` fixes dimensions that
    the file leaves open, which some operators need to know beforehand; names that are no inputs are ignored.
    With ``allow_custom`` nodes that have no exact equivalent become Custom nodes where that is possible.
    Raises SourceFileError, SourceFormatError, InvalidGraphError, or UnsupportedError listing every node that
    has no exact equivalent.
    """
    file = read(path)
    if input_shapes:
        fix_inputs(file, input_shapes)
    return Importer(file, allow_custom).run()
