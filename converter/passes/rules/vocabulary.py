"""The words rules are written in."""

from __future__ import annotations

from converter.ir.graph import Value
from converter.passes.pattern import Const, Op, Var

Add = Op("AddFusion", commutative=True)
BiasAdd = Op("BiasAdd")
Sub = Op("SubFusion")
Mul = Op("MulFusion", commutative=True)
Div = Op("DivFusion")
RealDiv = Op("RealDiv")
Pow = Op("PowFusion")
Neg = Op("Neg")
Not = Op("LogicalNot")
Abs = Op("Abs")
Exp = Op("ExpFusion")
Log = Op("Log")
Log1p = Op("Log1p")
Sqrt = Op("Sqrt")
Rsqrt = Op("Rsqrt")
Square = Op("Square")
Erf = Op("Erf")
Cast = Op("Cast")
Maximum = Op("Maximum", commutative=True)
Minimum = Op("Minimum", commutative=True)
Clip = Op("Clip")
Mean = Op("ReduceFusion", mode="ReduceMean", keep_dims=True, coeff=lambda c: c in (0, 1))

Activation = Op("Activation")
Relu = Op("Activation", activation_type="RELU")
Relu6 = Op("Activation", activation_type="RELU6")
Sigmoid = Op("Activation", activation_type="SIGMOID")
Tanh = Op("Activation", activation_type="TANH")
HardSigmoid = Op("Activation", activation_type="HSIGMOID")
HardSwish = Op("Activation", activation_type="HSWISH")
Swish = Op("Activation", activation_type="SWISH")
Softplus = Op("Activation", activation_type="SOFTPLUS")
AddRelu6 = Op("AddFusion", commutative=True, activation_type="RELU6")
LayerNorm = Op("LayerNormFusion")


def is_float(value: Value) -> bool:
    return value.dtype.name.startswith("FLOAT")


x, y = Var("x"), Var("y")
fx = Var("x", is_float)
a, b = Const("a"), Const("b")
