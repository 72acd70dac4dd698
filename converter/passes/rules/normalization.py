"""Normalisations that a framework spells out as means and differences."""

from __future__ import annotations

import numpy as np

from converter.passes.pattern import Const, Match, either, rule
from converter.passes.rewrite import ints, scalar_of
from converter.passes.rules.vocabulary import Add, Div, LayerNorm, Mean, Mul, Pow, Rsqrt, Sqrt, Square, Sub, x

_axes, _axes2, _epsilon = Const("axes"), Const("axes2"), Const("epsilon")
_gamma, _beta = Const("gamma"), Const("beta")

_centred = Sub(x, Mean(x, _axes))
_variance = Mean(either(Square(_centred), Pow(_centred, 2), Mul(_centred, _centred)), _axes2)
_deviation = Add(_variance, _epsilon)
_normal = either(Div(_centred, Sqrt(_deviation)), Mul(_centred, Rsqrt(_deviation)))


def _normalized_axes(m: Match) -> int | None:
    """How many trailing axes both means are taken over, or None when they are not the trailing ones."""
    rank = m["x"].rank
    axes, axes2 = ints(m["axes"]), ints(m["axes2"])
    if rank is None or axes is None or axes2 is None:
        return None
    found = sorted(axis % rank for axis in axes)
    same = found == sorted(axis % rank for axis in axes2)
    return len(found) if same and found == list(range(rank - len(found), rank)) else None


def _is_layer_norm(m: Match) -> bool:
    count = _normalized_axes(m)
    shape = m["x"].shape
    if count is None or shape is None or scalar_of(m["epsilon"]) is None:
        return False
    return m["gamma"].shape == m["beta"].shape == shape[-count:]


def _first_axis(m: Match) -> int:
    return (m["x"].rank or 0) - (_normalized_axes(m) or 0)


NORMALIZATION_RULES = [
    rule(
        "layer_norm",
        Add(Mul(_normal, _gamma), _beta),
        LayerNorm(
            x,
            _gamma,
            _beta,
            begin_norm_axis=_first_axis,
            begin_params_axis=_first_axis,
            epsilon=lambda m: m.number("epsilon"),
            elementwise_affine=True,
        ),
        _is_layer_norm,
        axes=np.array([-1], np.int32),
        axes2=np.array([2], np.int32),
        epsilon=1e-5,
        gamma=[1.0, 2.0, 3.0, 4.0],
        beta=[4.0, 3.0, 2.0, 1.0],
    ),
]
