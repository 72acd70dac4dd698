"""Activations that a framework spells out as arithmetic.

Only what MindSpore Lite 2.0.0 runs as an Activation is on a right side.
"""

from __future__ import annotations

from math import pi, sqrt

from converter.passes.pattern import Match, either, rule
from converter.passes.rewrite import scalar_of
from converter.passes.rules.vocabulary import (
    Activation,
    Add,
    AddRelu6,
    Clip,
    Div,
    Erf,
    Exp,
    HardSigmoid,
    HardSwish,
    Log,
    Log1p,
    Maximum,
    Minimum,
    Mul,
    Pow,
    Relu,
    Relu6,
    Sigmoid,
    Softplus,
    Square,
    Swish,
    Tanh,
    a,
    fx,
    x,
)

_NO_LIMIT = 3e38  # what exporters write for infinity


def _is_slope(m: Match) -> bool:
    slope = scalar_of(m["a"])
    return slope is not None and 0 < slope < 1


_relu6_3 = either(Relu6(Add(x, 3)), AddRelu6(x, 3))  # relu6(x + 3)

_gate_erf = Add(Erf(either(Div(x, sqrt(2)), Mul(x, 1 / sqrt(2)))), 1)
_cube = either(Pow(x, 3), Mul(Mul(x, x), x), Mul(Square(x), x))
_gate_tanh = Add(
    Tanh(
        either(
            Mul(Add(x, Mul(_cube, 0.044715)), sqrt(2 / pi)),
            Mul(Mul(x, sqrt(2 / pi)), Add(Mul(either(Mul(x, x), Square(x)), 0.044715), 1)),
        )
    ),
    1,
)

ACTIVATION_RULES = [
    rule("relu6_clip", either(Clip(fx, min=0, max=6), Clip(fx, 0, 6), Minimum(Maximum(fx, 0), 6)), Relu6(x)),
    rule("relu6_minimum", either(Minimum(Relu(fx), 6), Relu(Minimum(fx, 6))), Relu6(x)),
    rule("relu_clip", Clip(fx, min=0, max=lambda limit: limit > _NO_LIMIT), Relu(x)),
    rule("relu_maximum", Maximum(fx, 0), Relu(x)),
    rule(
        "leaky_relu",
        Maximum(fx, Mul(fx, a)),
        Activation(x, activation_type="LEAKY_RELU", alpha=lambda m: m.number("a")),
        _is_slope,
        a=0.1,
    ),
    rule("hard_sigmoid", either(Div(_relu6_3, 6), Mul(_relu6_3, 1 / 6)), HardSigmoid(x)),
    rule("hard_sigmoid_clip", Clip(Add(either(Mul(fx, 1 / 6), Div(fx, 6)), 0.5), min=0, max=1), HardSigmoid(x)),
    rule("hard_swish", either(Mul(x, HardSigmoid(x)), Div(Mul(x, _relu6_3), 6)), HardSwish(x)),
    rule("hard_swish_scaled", either(Mul(Mul(x, _relu6_3), 1 / 6), Mul(Mul(x, 1 / 6), _relu6_3)), HardSwish(x)),
    rule("silu", Mul(x, Sigmoid(x)), Swish(x)),
    rule("softplus", either(Log(Add(Exp(x), 1)), Log1p(Exp(x))), Softplus(x)),
    *(
        rule(
            f"gelu_{name}",
            either(Mul(Mul(x, gate), 0.5), Mul(x, Mul(gate, 0.5)), Mul(Mul(x, 0.5), gate), Div(Mul(x, gate), 2)),
            Activation(x, activation_type="GELU", approximate=approximate),
        )
        for name, gate, approximate in (("erf", _gate_erf, False), ("tanh", _gate_tanh, True))
    ),
]
