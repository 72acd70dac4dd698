"""MNN's session interface, in fp32 or, where BENCHMARK_FP16 is set, in its low precision."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from benchmarks.runners.base import Runner


class Mnn(Runner):
    module = "MNN"

    def __init__(self, engine: Any, path: str, threads: int) -> None:
        self.engine = engine
        self.interpreter = engine.Interpreter(path + ".mnn")
        precision = "low" if os.environ.get("BENCHMARK_FP16") else "high"
        settings = {"backend": "CPU", "numThread": threads, "precision": precision}
        self.session = self.interpreter.createSession(settings)

    def set_inputs(self, inputs: dict[str, np.ndarray]) -> None:
        """Kept, because MNN may reuse the memory of its inputs during a run."""
        tensors = self.interpreter.getSessionInputAll(self.session)
        self.inputs = [(tensors[name], self._host(array)) for name, array in inputs.items()]

    def _host(self, array: np.ndarray) -> Any:
        kind = self.engine.Halide_Type_Float if array.dtype == np.float32 else self.engine.Halide_Type_Int
        contiguous = np.ascontiguousarray(array)
        return self.engine.Tensor(array.shape, kind, contiguous, self.engine.Tensor_DimensionType_Caffe)

    def run(self) -> None:
        for tensor, host in self.inputs:
            tensor.copyFrom(host)
        self.interpreter.runSession(self.session)

    def output(self) -> np.ndarray:
        tensor = self.interpreter.getSessionOutput(self.session)
        host = self._host(np.zeros(tensor.getShape(), np.float32))
        tensor.copyToHostTensor(host)
        return np.array(host.getData(), np.float32)
