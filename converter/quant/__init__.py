"""Quantisation: which nodes, by which algorithm (``recipe``), and the algorithms, a file each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converter.ir.graph import Model
from converter.quant import dynamic, full, weight
from converter.quant.recipe import Rule, plan

__all__ = ["quantize"]


def quantize(model: Model, rules: Sequence[Rule], samples: Sequence[Sequence[np.ndarray]] = ()) -> list[str]:
    """Quantises a model in place as the rules say (see ``converter.quant.recipe``). Returns notes for the user.

    The model must be optimised and complete: its values' types and shapes are known as far as they can be. ``samples``
    are calibration inputs, an array for each of the model's inputs; they may be gone through several times.
    """
    planned = plan(model, rules)
    # First, while all is float: its ranges are those of the float model.
    outcome = full.apply(model, planned, samples)
    return outcome.notes + weight.apply(model, planned, samples) + dynamic.apply(model, planned)
