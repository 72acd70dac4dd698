"""Normalisations that a framework spells out as means and differences."""

from __future__ import annotations

from typing import Any

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


def _is_normal(m: Match) -> bool:
    return _normalized_axes(m) is not None and m["x"].shape is not None and scalar_of(m["epsilon"]) is not None


def _normalized_shape(m: Match) -> tuple[int, ...]:
    shape = m["x"].shape or ()
    return shape[len(shape) - (_normalized_axes(m) or 0) :]


def _is_layer_norm(m: Match) -> bool:
    return _is_normal(m) and m["gamma"].shape == m["beta"].shape == _normalized_shape(m)


def _is_plain_layer_norm(m: Match) -> bool:
    """No scale follows, which would belong to the operator."""
    scaled = any(node.op == "MulFusion" for node, _ in m.root.output.uses)
    return _is_normal(m) and not scaled and min(_normalized_shape(m)) > 0


def _first_axis(m: Match) -> int:
    return (m["x"].rank or 0) - (_normalized_axes(m) or 0)


_attributes: dict[str, Any] = {
    "begin_norm_axis": _first_axis,
    "begin_params_axis": _first_axis,
    "epsilon": lambda m: m.number("epsilon"),
    "elementwise_affine": True,
}
_example: dict[str, Any] = {"axes": np.array([-1], np.int32), "axes2": np.array([2], np.int32), "epsilon": 1e-5}

NORMALIZATION_RULES = [
    rule(
        "layer_norm",
        Add(Mul(_normal, _gamma), _beta),
        LayerNorm(x, _gamma, _beta, **_attributes),
        _is_layer_norm,
        gamma=[1.0, 2.0, 3.0, 4.0],
        beta=[4.0, 3.0, 2.0, 1.0],
        **_example,
    ),
    rule(
        "plain_layer_norm",
        _normal,
        LayerNorm(x, lambda m: np.ones(_normalized_shape(m)), lambda m: np.zeros(_normalized_shape(m)), **_attributes),
        _is_plain_layer_norm,
        **_example,
    ),
]
