"""The second moments of what products and convolutions read, from calibration inputs: what GPTQ rounds by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converter.errors import UsageError
from converter.ir.graph import Model, Node
from converter.quant.calibration import Observer, Samples
from converter.quant.weight_gptq import MAX_COLUMNS

_MAX_ROWS = 4096  # of one sample that are counted, evenly chosen


def moments(model: Model, nodes: Sequence[Node], samples: Samples) -> dict[Node, np.ndarray]:
    """Sums of outer products of each node's inputs, in the order of its weight's columns.

    ``samples`` hold an array per input of the model, as the model takes it. Nodes that ``rows_of`` does not know,
    outside the main graph, with too many columns, or with inputs that are NaN, infinite or too large, are left out.

    Raises UsageError when the model does not run on a sample, or there is none.
    """
    wanted = [n for n in nodes if n in model.main.nodes and n.inputs[0].data is None and _columns(n)]
    observer = Observer(model, [node.inputs[0] for node in wanted])
    found: dict[Node, np.ndarray] = {}
    for _ in observer.run(samples):
        for node in wanted:
            rows = rows_of(node, observer[node.inputs[0]].astype(np.float32))
            rows = rows[:: max(1, len(rows) // _MAX_ROWS)]
            with np.errstate(all="ignore"):
                found[node] = found.get(node, 0) + rows.T @ rows
    if not found and wanted:
        raise UsageError(f"{model.source}: quant_strategy=GPTQ needs calibration inputs, there are none")
    return {node: sums for node, sums in found.items() if np.isfinite(sums).all()}


def _columns(node: Node) -> int:
    """How many inputs each result of the node is a sum over; 0 for nodes without such moments."""
    shape = node.inputs[1].shape or ()
    if node.op == "Conv2DFusion" and node.attr("group") in (0, 1) and len(shape) == 4:
        columns = shape[1] * shape[2] * shape[3]
    elif node.op == "MatMulFusion" and len(shape) == 2 and not node.attr("transpose_a"):
        columns = shape[1] if node.attr("transpose_b") else shape[0]
    elif node.op == "FullConnection" and len(shape) == 2:
        columns = shape[1]
    else:
        return 0
    return columns if columns <= MAX_COLUMNS else 0


def rows_of(node: Node, x: np.ndarray) -> np.ndarray:
    """What each result of a node that ``_columns`` knows is computed from, [results, columns]."""
    if node.op != "Conv2DFusion":
        return x.reshape(-1, _columns(node))
    _, height, width, channels = (int(d) for d in node.inputs[1].shape or ())
    stride, dilation = _pair(node, "stride"), _pair(node, "dilation")
    reach = [dilation[0] * (height - 1) + 1, dilation[1] * (width - 1) + 1]
    padded = np.pad(x, [(0, 0), *_padding(node, x, reach, stride), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=(1, 2))
    taken = windows[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]
    return taken.transpose(0, 1, 2, 4, 5, 3).reshape(-1, height * width * channels)


def _pair(node: Node, name: str) -> list[int]:
    return [int(v) for v in node.attr(name) or (1, 1)]


def _padding(node: Node, x: np.ndarray, reach: list[int], stride: list[int]) -> list[tuple[int, int]]:
    mode = node.attr("pad_mode")
    if mode == "VALID":
        return [(0, 0), (0, 0)]
    if mode == "SAME":
        pairs = []
        for size, far, step in zip(x.shape[1:3], reach, stride):
            total = max(0, (-(-size // step) - 1) * step + far - size)
            pairs.append((total // 2, total - total // 2))
        return pairs
    top, bottom, left, right = [int(v) for v in node.attr("pad_list") or (0, 0, 0, 0)]
    return [(top, bottom), (left, right)]
