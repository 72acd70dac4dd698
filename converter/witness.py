"""Independent answers to hold a converted model against, one class per engine that can give them.

``find`` picks ONNX Runtime for ONNX, LiteRT for TFLite and MindSpore for MindIR where it is installed; else the
model as imported, without any optimisation, run by our own engine: that proves the passes, not the importer.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from converter import exporter, passes
from converter.fmk import FmkType
from converter.ir.graph import Model
from lite_runtime import _native
from lite_runtime.types import DataType

Arrays = list[np.ndarray]


class Witness(Protocol):
    """Runs the source model. Inputs and outputs are in the source's order, layout and element types."""

    name: str

    def run(self, inputs: Sequence[np.ndarray]) -> Arrays: ...

    def layers(self, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Results inside the model by tensor name; empty where the engine cannot show them."""
        ...


class OnnxRuntime:
    name = "ONNX Runtime"

    def __init__(self, source: str) -> None:
        import onnxruntime

        self._source = source
        self._options = onnxruntime.SessionOptions()
        self._options.log_severity_level = 4
        self._session = self._open(source)

    def _open(self, model: str | bytes) -> Any:
        import onnxruntime

        return onnxruntime.InferenceSession(model, self._options, providers=["CPUExecutionProvider"])

    def run(self, inputs: Sequence[np.ndarray]) -> Arrays:
        return self._run(self._session, inputs)

    def _run(self, session: Any, inputs: Sequence[np.ndarray]) -> Arrays:
        feeds = {i.name: np.asarray(x) for i, x in zip(session.get_inputs(), inputs)}
        return [np.asarray(y) for y in session.run(None, feeds)]

    def layers(self, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        import onnx

        model = onnx.load(self._source)
        present = {output.name for output in model.graph.output}
        names = [n for node in model.graph.node for n in node.output if n and n not in present]
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
        session = self._open(model.SerializeToString())
        return dict(zip((o.name for o in session.get_outputs()), self._run(session, inputs)))


class LiteRT:
    name = "LiteRT"

    def __init__(self, source: str) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._source = source
        self._interpreter = Interpreter(source)

    def run(self, inputs: Sequence[np.ndarray]) -> Arrays:
        return self._run(self._interpreter, inputs)

    def _run(self, interpreter: Any, inputs: Sequence[np.ndarray]) -> Arrays:
        details = interpreter.get_input_details()
        for detail, x in zip(details, inputs):
            interpreter.resize_tensor_input(detail["index"], x.shape)
        interpreter.allocate_tensors()
        for detail, x in zip(details, inputs):
            interpreter.set_tensor(detail["index"], x)
        interpreter.invoke()
        return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]

    def layers(self, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        from ai_edge_litert.interpreter import Interpreter

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that keeping all tensors takes memory
            interpreter = Interpreter(self._source, experimental_preserve_all_tensors=True)
        self._run(interpreter, inputs)
        found: dict[str, np.ndarray] = {}
        for detail in interpreter.get_tensor_details():
            try:
                found[detail["name"]] = interpreter.get_tensor(detail["index"])
            except ValueError:  # a tensor without storage, such as an optional operand
                continue
        return found


class MindSpore:
    name = "MindSpore"

    def __init__(self, source: str) -> None:
        import mindspore

        mindspore.set_context(mode=mindspore.GRAPH_MODE)
        self._cell = mindspore.nn.GraphCell(mindspore.load(source))

    def run(self, inputs: Sequence[np.ndarray]) -> Arrays:
        import mindspore

        outputs = self._cell(*(mindspore.Tensor(x) for x in inputs))
        return [y.asnumpy() for y in (outputs if isinstance(outputs, (tuple, list)) else [outputs])]

    def layers(self, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        return {}


class Unoptimized:
    """The imported model in our own engine, only made legal for it."""

    name = "the unoptimised model in lite_runtime"

    def __init__(self, model: Model) -> None:
        passes.optimize(model, "none", "NHWC" if model.channels_last else "NCHW")
        self._names = value_names(model)
        self._session = _native.Session(_native.Model.from_buffer(exporter.export(model)))

    def run(self, inputs: Sequence[np.ndarray]) -> Arrays:
        feed(self._session, inputs)
        self._session.run()
        return self._session.output_values()

    def layers(self, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        feed(self._session, inputs)
        return observed(self._session, self._names)


_ENGINES: dict[FmkType, tuple[str, Callable[[str], Witness]]] = {
    FmkType.ONNX: ("onnxruntime", OnnxRuntime),
    FmkType.TFLITE: ("ai_edge_litert", LiteRT),
    FmkType.MINDIR: ("mindspore", MindSpore),
}


def find(source: str, fmk: FmkType, load: Callable[[], Model], encrypted: bool) -> tuple[Witness, str]:
    """The best witness there is, and a note why it is not the source's own engine ("" when it is)."""
    package, engine = _ENGINES.get(fmk, ("", None))
    if engine is None or encrypted:
        return Unoptimized(load()), ""
    if importlib.util.find_spec(package) is None:
        return Unoptimized(load()), f"{package} is not installed, so only the optimisation is checked"
    try:
        return engine(source), ""
    except Exception as error:  # whatever the other engine does not take
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        return Unoptimized(load()), f"{package} does not take the model ({reason}), so only the optimisation is checked"


def value_names(model: Model) -> dict[str, str]:
    """Node names to the names of their first results."""
    return {node.name: node.outputs[0].name for node in model.main.nodes}


def feed(session: _native.Session, inputs: Sequence[np.ndarray]) -> None:
    """Gives the session inputs of any shape, cast to the element types it takes."""
    shapes = [tuple(x.shape) for x in inputs]
    if shapes != session.input_shapes:
        session.resize(shapes)
    for index, (info, x) in enumerate(zip(session.inputs(), inputs)):
        dtype = info.dtype.numpy if info.dtype != DataType.UNKNOWN else x.dtype
        session.set_input(index, np.ascontiguousarray(x, dtype))


def observed(session: _native.Session, names: dict[str, str]) -> dict[str, np.ndarray]:
    """Runs and gives the first result of every node by tensor name, in order of execution."""
    found: dict[str, np.ndarray] = {}

    def note(_: int, node: str, __: str, values: list[np.ndarray], ___: float) -> None:
        if values:
            found[names.get(node, node)] = values[0]

    session.run_observed(note)
    return found
