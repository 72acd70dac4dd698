"""ONNX Runtime's CPU provider."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.runners.base import Runner


class OnnxRuntime(Runner):
    module = "onnxruntime"

    def __init__(self, engine: Any, path: str, threads: int) -> None:
        options = engine.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = engine.InferenceSession(path + ".onnx", options, providers=["CPUExecutionProvider"])

    def set_inputs(self, inputs: dict[str, np.ndarray]) -> None:
        self.inputs = inputs

    def run(self) -> None:
        self.results = self.session.run(None, self.inputs)

    def output(self) -> np.ndarray:
        return np.asarray(self.results[0], np.float32)
