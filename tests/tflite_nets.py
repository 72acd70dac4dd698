"""Builds TFLite models of one operator and runs them in LiteRT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as fb
from ai_edge_litert.interpreter import Interpreter, OpResolverType

_TYPES = {
    np.dtype(np.float32): fb.TensorType.FLOAT32,
    np.dtype(np.float16): fb.TensorType.FLOAT16,
    np.dtype(np.int32): fb.TensorType.INT32,
    np.dtype(np.int64): fb.TensorType.INT64,
    np.dtype(np.bool_): fb.TensorType.BOOL,
    np.dtype(np.uint8): fb.TensorType.UINT8,
    np.dtype(np.int8): fb.TensorType.INT8,
}


@dataclass
class Const:
    """An operand stored in the model."""

    value: Any
    dtype: Any = np.int32

    @property
    def array(self) -> np.ndarray:
        return np.asarray(self.value, self.dtype)


@dataclass
class Case:
    """One operator: its operands (arrays are graph inputs), options, and the dtypes of its results.

    ``quantization`` gives tensors (x0, const1, y0: the operand's or result's number) their scales and zero point;
    the channels of several scales lie along the first dimension, or the last when the zero point is None.
    """

    op: str
    operands: Sequence[np.ndarray | Const]
    options: dict[str, Any] = field(default_factory=dict)
    results: Sequence[Any] = (np.float32,)
    options_type: str = ""
    version: int = 1
    quantization: dict[str, tuple[Any, int | None]] = field(default_factory=dict)
    narrow_code: bool = True  # the operator's code stands in the field old readers know, too

    @property
    def inputs(self) -> list[np.ndarray]:
        return [x for x in self.operands if isinstance(x, np.ndarray)]

    def __str__(self) -> str:
        shown = ",".join(f"{k}={v}" for k, v in self.options.items())
        return f"{self.op}[{shown}]" if shown else self.op


def build(case: Case, shapes: Sequence[Sequence[int]] | None = None) -> bytes:
    """The bytes of a model with this operator; ``shapes`` are those of the results."""
    model, graph, operator = fb.ModelT(), fb.SubGraphT(), fb.OperatorT()
    model.version = 3
    model.buffers = [fb.BufferT()]
    graph.tensors, graph.inputs, graph.outputs = [], [], []

    def tensor(name: str, dtype: Any, shape: Sequence[int], data: np.ndarray | None = None) -> int:
        t = fb.TensorT()
        t.name, t.type, t.shape = name, _TYPES[np.dtype(dtype)], list(shape)
        t.buffer = 0
        if data is not None:
            buffer = fb.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            t.buffer = len(model.buffers)
            model.buffers.append(buffer)
        if name in case.quantization:
            scale, zero = case.quantization[name]
            t.quantization = fb.QuantizationParametersT()
            t.quantization.scale = np.atleast_1d(np.asarray(scale, np.float32))
            t.quantization.zeroPoint = np.full(len(t.quantization.scale), zero or 0, np.int64)
            t.quantization.quantizedDimension = len(shape) - 1 if zero is None else 0
        graph.tensors.append(t)
        return len(graph.tensors) - 1

    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [], []
    for i, x in enumerate(case.operands):
        if isinstance(x, Const):
            operator.inputs.append(tensor(f"const{i}", x.array.dtype, x.array.shape, x.array))
        else:
            operator.inputs.append(tensor(f"x{i}", x.dtype, x.shape))
            graph.inputs.append(operator.inputs[-1])
    for i, dtype in enumerate(case.results):
        operator.outputs.append(tensor(f"y{i}", dtype, shapes[i] if shapes else []))
    graph.outputs = list(operator.outputs)
    if case.options_type:
        options = getattr(fb, f"{case.options_type}T")()
        for name, value in case.options.items():
            assert hasattr(options, name), name
            setattr(options, name, value)
        operator.builtinOptions = options
        operator.builtinOptionsType = getattr(fb.BuiltinOptions, case.options_type)
    code = fb.OperatorCodeT()
    code.builtinCode = getattr(fb.BuiltinOperator, case.op)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127) if case.narrow_code else 0
    code.version = case.version
    graph.operators, model.operatorCodes, model.subgraphs = [operator], [code], [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def litert(
    data: bytes | str, inputs: Sequence[np.ndarray], kernels: Any = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
) -> list[np.ndarray]:
    """LiteRT's answers; for the bytes of a model by its own kernels rather than a delegate's."""
    if isinstance(data, str):
        interpreter = Interpreter(data)
    else:
        interpreter = Interpreter(model_content=data, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    for detail, x in zip(interpreter.get_input_details(), inputs):
        interpreter.set_tensor(detail["index"], x)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]
