"""The primitives of MindIR: importing these modules fills ``registry.TABLE``."""

from __future__ import annotations

from converter.importers.mindir.ops import arrays, elementwise, linear, norm, pool, recurrent, reduce, resize, sequence

__all__ = ["arrays", "elementwise", "linear", "norm", "pool", "recurrent", "reduce", "resize", "sequence"]
