"""Element-wise, comparison and reduction operators: mostly one table row each."""

from __future__ import annotations

from typing import Any

import numpy as np

from converter.importers.tflite.context import OPERATORS, Context, RefusedError, operator

# TFLite operator -> (.ms operator, fixed attributes). Inputs and outputs are the same.
_SAME: dict[str, tuple[str, dict[str, Any]]] = {
    "ABS": ("Abs", {}),
    "ADD_N": ("AddN", {}),
    "CEIL": ("Ceil", {}),
    "COS": ("Cos", {}),
    "ELU": ("Activation", {"activation_type": "ELU", "alpha": 1.0}),
    "EQUAL": ("Equal", {}),
    "EXP": ("ExpFusion", {}),
    "FLOOR": ("Floor", {}),
    "FLOOR_DIV": ("FloorDiv", {}),
    "FLOOR_MOD": ("FloorMod", {}),
    "GREATER": ("Greater", {}),
    "GREATER_EQUAL": ("GreaterEqual", {}),
    "HARD_SWISH": ("Activation", {"activation_type": "HSWISH"}),
    "LESS": ("Less", {}),
    "LESS_EQUAL": ("LessEqual", {}),
    "LOG": ("Log", {}),
    "LOGICAL_AND": ("LogicalAnd", {}),
    "LOGICAL_NOT": ("LogicalNot", {}),
    "LOGICAL_OR": ("LogicalOr", {}),
    "LOGISTIC": ("Activation", {"activation_type": "SIGMOID"}),
    "MAXIMUM": ("Maximum", {}),
    "MINIMUM": ("Minimum", {}),
    "NEG": ("Neg", {}),
    "NOT_EQUAL": ("NotEqual", {}),
    "POW": ("PowFusion", {}),
    "RELU": ("Activation", {"activation_type": "RELU"}),
    "RELU6": ("Activation", {"activation_type": "RELU6"}),
    "RELU_0_TO_1": ("Clip", {"min": 0.0, "max": 1.0}),
    "RELU_N1_TO_1": ("Clip", {"min": -1.0, "max": 1.0}),
    "ROUND": ("Round", {}),
    "RSQRT": ("Rsqrt", {}),
    "SELECT_V2": ("Select", {}),
    "SIGN": ("Activation", {"activation_type": "SIGN"}),
    "SIN": ("Sin", {}),
    "SQRT": ("Sqrt", {}),
    "SQUARE": ("Square", {}),
    "SQUARED_DIFFERENCE": ("SquaredDifference", {}),
    "TANH": ("Activation", {"activation_type": "TANH"}),
}


# LiteRT ignores scale and zero point of their operands.
_OF_STORED = frozenset({"FLOOR_DIV", "FLOOR_MOD", "NEG"})


def _register_same(name: str, op: str, attrs: dict[str, Any]) -> None:
    def mapping(c: Context, **_: Any) -> None:
        if name in _OF_STORED and any(x.quant for x in c.inputs()):
            raise RefusedError("of quantised tensors TFLite takes the stored integers for the numbers")
        c.emit(op, c.inputs(), **attrs)

    OPERATORS[name] = mapping


for _name, (_op, _attrs) in _SAME.items():
    _register_same(_name, _op, _attrs)

_ARITHMETIC = {"ADD": "AddFusion", "SUB": "SubFusion", "MUL": "MulFusion", "DIV": "DivFusion"}


@operator(*_ARITHMETIC)
def arithmetic(c: Context, fused_activation_function: int = 0, **_: Any) -> None:
    c.emit_activated(_ARITHMETIC[c.operator.op], c.inputs(), fused_activation_function)


@operator("SELECT")
def select(c: Context, **_: Any) -> None:
    """As SELECT_V2, but a condition of one dimension chooses whole rows."""
    condition, x, y = c.inputs()
    rank = len(c.shape(1))
    if len(c.shape(0)) == 1 and rank > 1:
        target = c.const("condition_shape", [-1] + [1] * (rank - 1))
        condition = c.add("Reshape", [condition, target])
    c.emit("Select", [condition, x, y])


@operator("LEAKY_RELU")
def leaky_relu(c: Context, alpha: float = 0.0) -> None:
    c.emit("Activation", c.inputs(), activation_type="LEAKY_RELU", alpha=alpha)


@operator("GELU")
def gelu(c: Context, approximate: bool = False) -> None:
    c.emit("Activation", c.inputs(), activation_type="GELU", approximate=bool(approximate))


@operator("PRELU")
def prelu(c: Context) -> None:
    """A slope per channel of the last axis is one operator; any other shape is max(x, 0) + a * min(x, 0)."""
    x, slope = c.input(0), c.input(1)
    shape = c.shape(1)
    if slope.is_const and int(np.prod(shape)) == shape[-1] == c.shape(0)[-1]:
        c.emit("PReLUFusion", [x, c.const("slope", c.real(1).reshape(-1), np.float32)], channel_shared=False)
        return
    zero = c.const("zero", 0, np.float32)
    negative = c.add("MulFusion", [c.add("Minimum", [x, zero]), slope])
    c.emit("AddFusion", [c.add("Maximum", [x, zero]), negative])


@operator("CAST")
def cast(c: Context, **_: Any) -> None:
    c.emit("Cast", [c.input(0), c.const("dtype", int(c.output_dtype()))])


_REDUCE = {
    "MEAN": "ReduceMean",
    "SUM": "ReduceSum",
    "REDUCE_MAX": "ReduceMax",
    "REDUCE_MIN": "ReduceMin",
    "REDUCE_PROD": "ReduceProd",
    "REDUCE_ALL": "ReduceAll",
}


@operator(*_REDUCE)
def reduce(c: Context, keep_dims: bool = False) -> None:
    c.emit("ReduceFusion", c.inputs(), mode=_REDUCE[c.operator.op], keep_dims=bool(keep_dims), coeff=1.0)


@operator("ARG_MAX", "ARG_MIN")
def arg_extreme(c: Context, **_: Any) -> None:
    op = "ArgMaxFusion" if c.operator.op == "ARG_MAX" else "ArgMinFusion"
    c.emit(op, [c.input(0)], axis=int(c.array(1).reshape(-1)[0]), top_k=1, keep_dims=False)


@operator("SOFTMAX")
def softmax(c: Context, beta: float = 0.0) -> None:
    x = c.input(0)
    if beta != 1.0:
        x = c.add("MulFusion", [x, c.const("beta", beta, np.float32)])
    c.emit("Softmax", [x], axis=[-1])


@operator("LOG_SOFTMAX")
def log_softmax(c: Context) -> None:
    c.emit("LogSoftmax", c.inputs(), axis=-1)


@operator("CUMSUM")
def cumsum(c: Context, exclusive: bool = False, reverse: bool = False) -> None:
    c.emit("CumSum", c.inputs(), exclusive=bool(exclusive), reverse=bool(reverse))


@operator("L2_NORMALIZATION")
def l2_normalization(c: Context, fused_activation_function: int = 0) -> None:
    if fused_activation_function != 0:
        raise RefusedError("a fused activation is not offered here", "fused_activation_function")
    c.emit("L2NormalizeFusion", c.inputs(), axis=[-1], epsilon=1e-6)


@operator("LOCAL_RESPONSE_NORMALIZATION")
def lrn(c: Context, radius: int = 0, bias: float = 0.0, alpha: float = 0.0, beta: float = 0.0) -> None:
    c.emit("LRN", c.inputs(), depth_radius=radius, bias=bias, alpha=alpha, beta=beta)
