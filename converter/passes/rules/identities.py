"""Operators that change nothing, and chains one operator can stand for."""

from __future__ import annotations

from converter.passes.pattern import Match, Var, either, rule
from converter.passes.rules.vocabulary import (
    Abs,
    Add,
    BiasAdd,
    Cast,
    Div,
    Mul,
    Neg,
    Not,
    Pow,
    RealDiv,
    Relu,
    Relu6,
    Rsqrt,
    Sqrt,
    Square,
    Sub,
    a,
    b,
    fx,
    is_float,
    x,
    y,
)


def _same_dtype(m: Match) -> bool:
    return m["x"].dtype == m.root.output.dtype != 0


def _any(_: object) -> bool:
    return True


def _constants_meet(m: Match) -> bool:
    """``x`` must not be a constant too, or the rule would go in circles."""
    return is_float(m.root.output) and not m["x"].is_const


IDENTITY_RULES = [
    rule("add_zero", Add(x, 0), x),
    rule("sub_zero", Sub(x, 0), x),
    rule("mul_one", Mul(x, 1), x),
    rule("div_one", either(Div(fx, 1), RealDiv(fx, 1)), x),
    rule("pow_one", Pow(fx, 1), x),
    rule("pow_two", Pow(fx, 2), Square(x)),
    rule("pow_half", Pow(fx, 0.5), Sqrt(x)),
    rule("neg_neg", Neg(Neg(x)), x),
    rule("not_not", Not(Not(Var("x"))), x, x=[True, False, True]),
    rule("abs_abs", Abs(Abs(x)), Abs(x)),
    rule("add_neg", Add(x, Neg(y)), Sub(x, y)),
    rule("sub_neg", Sub(x, Neg(y)), Add(x, y)),
    rule("relu_relu", Relu(Relu(x)), Relu(x)),
    rule("relu6_relu", Relu6(Relu(x)), Relu6(x)),
    rule("relu6_relu6", Relu6(Relu6(x)), Relu6(x)),
    rule("one_by_sqrt", either(Div(1, Sqrt(x)), RealDiv(1, Sqrt(x))), Rsqrt(x), x=[[0.5, 2.0, 9.0]]),
    rule("cast_to_same", Cast(x, Var("type")), x, _same_dtype, type=43),
    # Both add along the last axis; an addition may also be done in another layout.
    rule(
        "bias_add", BiasAdd(x, a, format=lambda _: True), Add(x, a), lambda m: m["a"].rank == 1, a=[1.0, 2.0, 3.0, 4.0]
    ),
    # The two constants become one by folding.
    rule("mul_mul", Mul(Mul(x, a), b), Mul(x, Mul(a, b)), _constants_meet, a=[[2.0]], b=[3.0, 1.0, 2.0, 4.0]),
    rule("add_add", Add(Add(x, a), b), Add(x, Add(a, b)), _constants_meet, a=[[2.0]], b=[3.0, 1.0, 2.0, 4.0]),
]
