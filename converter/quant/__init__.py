"""Quantisation: which nodes, by which algorithm (``recipe``), and the algorithms, a file each."""

from __future__ import annotations

from collections.abc import Sequence

from converter.errors import ConfigError
from converter.ir.graph import Model
from converter.quant import dynamic, weight
from converter.quant.moments import Samples
from converter.quant.recipe import FULL, Rule, plan

__all__ = ["quantize"]


def quantize(model: Model, rules: Sequence[Rule], samples: Samples = ()) -> list[str]:
    """Quantises a model in place as the rules say (see ``converter.quant.recipe``). Returns notes for the user.

    The model must be optimised and complete: its values' types and shapes are known as far as they can be. ``samples``
    are calibration inputs, an array for each of the model's inputs; they may be gone through several times.
    """
    planned = plan(model, rules)
    if any(settings.algorithm == FULL for settings in planned.values()):
        raise ConfigError("quant_type FULL_QUANT is not offered yet: use WEIGHT_QUANT or DYNAMIC_QUANT")
    return weight.apply(model, planned, samples) + dynamic.apply(model, planned)
