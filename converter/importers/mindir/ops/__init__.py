"""The primitives of MindIR: importing these modules fills ``registry.TABLE``."""

from __future__ import annotations

from converter.importers.mindir.ops import (
    arrays,
    conv3d,
    elementwise,
    linear,
    norm,
    pool,
    quantization,
    recurrent,
    reduce,
    resize,
    sequence,
)

__all__ = [
    "arrays",
    "conv3d",
    "elementwise",
    "linear",
    "norm",
    "pool",
    "quantization",
    "recurrent",
    "reduce",
    "resize",
    "sequence",
]
