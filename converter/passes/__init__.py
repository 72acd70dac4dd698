"""Makes an imported model ready for export: legal for MindSpore Lite's runtime, and optimised.

``optimize`` runs an ordered list of passes. ``level`` is MindSpore Lite's: "none" does only what the format
demands, "general" also folds, fuses and chooses layouts.
"""

from __future__ import annotations

from collections.abc import Callable

from converter.errors import UsageError
from converter.ir.graph import Graph, Model
from converter.passes.common import merge_equal_constants, merge_equal_nodes
from converter.passes.fold_affine import fold_affine, scale_batch_norms
from converter.passes.fold_constants import fold_constants
from converter.passes.fuse_activation import fuse_activation
from converter.passes.layout import choose_layouts
from converter.passes.legalize import (
    channels_last_inputs,
    complete_attributes,
    distinct_outputs,
    explicit_padding,
    narrow_integers,
    separate_matmul_constants,
)
from converter.passes.lite_layout import keep_square_transposes, label_channels_last
from converter.passes.manager import Pass, PassResult, Repeat, each_graph, run_passes
from converter.passes.movements import merge_movements
from converter.passes.no_ops import merge_views, remove_no_ops
from converter.passes.pattern import apply_rules
from converter.passes.rules import RULES
from converter.passes.transposes import (
    absorb_before_matmul,
    absorb_into_matmul,
    merge_transposes,
    reshape_unit_transposes,
)

__all__ = ["LEVELS", "PassResult", "optimize"]

LEVELS = ("none", "general")


def _rewrite_patterns(graph: Graph) -> bool:
    return apply_rules(graph, RULES)


def _drop_unused(model: Model) -> bool:
    before = sum(len(graph.nodes) for graph in model.graphs)
    for graph in model.graphs:
        graph.cleanup()
    return sum(len(graph.nodes) for graph in model.graphs) != before


_FIRST = (
    Pass("drop unused nodes", _drop_unused),
    Pass("narrow 64-bit integers", narrow_integers),
)
_CHANNELS_LAST_INPUTS = Pass("channels-last inputs", channels_last_inputs, needs_types=True)
_GENERAL = (
    Repeat(
        (
            Pass("fold constants", fold_constants, needs_types=True),
            Pass("remove no-ops", each_graph(remove_no_ops), needs_types=True),
            Pass("rewrite patterns", each_graph(_rewrite_patterns), needs_types=True),
            Pass("merge equal nodes", each_graph(merge_equal_nodes)),
            Pass("fold affine", each_graph(fold_affine), needs_types=True),
            Pass("fuse activations", each_graph(fuse_activation), needs_types=True),
            Pass("merge transposes", each_graph(merge_transposes), needs_types=True),
            Pass("choose layouts", each_graph(choose_layouts), needs_types=True),
            Pass("merge views", each_graph(merge_views), needs_types=True),
            Pass("absorb transposes into products", each_graph(absorb_into_matmul), needs_types=True),
            Pass("absorb transposes before dense layers", each_graph(absorb_before_matmul), needs_types=True),
        )
    ),
    Pass("scale batch norms", each_graph(scale_batch_norms), needs_types=True),
    Pass("merge movements", each_graph(merge_movements), needs_types=True),
    Pass("reshape unit transposes", each_graph(reshape_unit_transposes), needs_types=True),
    Repeat(
        (
            Pass("remove no-ops", each_graph(remove_no_ops), needs_types=True),
            Pass("merge views", each_graph(merge_views), needs_types=True),
            Pass("fuse activations", each_graph(fuse_activation), needs_types=True),
        )
    ),
    Pass("merge equal constants", merge_equal_constants),
)
_LAST = (
    Pass("separate constants of matrix products", each_graph(separate_matmul_constants)),
    Pass("distinct outputs", distinct_outputs, needs_types=True),
    Pass("explicit padding", each_graph(explicit_padding)),
    Pass("label channels-last tensors", each_graph(label_channels_last), needs_types=True),
    Pass("keep square transposes", each_graph(keep_square_transposes), needs_types=True),
    Pass("complete attributes", each_graph(complete_attributes)),
    Pass("drop unused nodes", _drop_unused),
)


def optimize(
    model: Model,
    level: str = "general",
    input_format: str = "NHWC",
    progress: Callable[[str], None] | None = None,
) -> list[PassResult]:
    """Changes the model in place and returns what each pass did.

    Args:
        model: as an importer made it.
        level: one of LEVELS.
        input_format: layout the model's 4-D inputs shall have, "NHWC" or "NCHW".
        progress: called with the name of each pass before it runs.

    Raises InvalidGraphError, UnsupportedError or UsageError.
    """
    if level not in LEVELS:
        raise UsageError(f"optimize level '{level}' is not offered, it must be one of: {', '.join(LEVELS)}")
    if input_format not in ("NHWC", "NCHW"):
        raise UsageError(f"input format '{input_format}' is not offered, it must be NHWC or NCHW")
    if input_format == "NCHW" and model.channels_last:
        raise UsageError(f"{model.source}: the model's inputs are channels-last (NHWC), they cannot become NCHW")
    inputs = (_CHANNELS_LAST_INPUTS,) if input_format == "NHWC" and not model.channels_last else ()
    general = _GENERAL if level == "general" else ()
    return run_passes(model, [*_FIRST, *inputs, *general, *_LAST], progress)
