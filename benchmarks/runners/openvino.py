"""OpenVINO's CPU plugin, in fp32 or with the int8 of a quantised model."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.runners.base import Runner


class OpenVino(Runner):
    module = "openvino"

    def __init__(self, engine: Any, path: str, threads: int) -> None:
        settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": "1", "PERFORMANCE_HINT": "LATENCY"}
        if not path.endswith("_int8"):
            settings["INFERENCE_PRECISION_HINT"] = "f32"
        self.tensor = engine.Tensor
        self.request = engine.Core().compile_model(path + ".onnx", "CPU", settings).create_infer_request()

    def set_inputs(self, inputs: dict[str, np.ndarray]) -> None:
        for name, array in inputs.items():
            self.request.set_tensor(name, self.tensor(array))

    def run(self) -> None:
        self.request.infer()

    def output(self) -> np.ndarray:
        return np.array(self.request.get_output_tensor(0).data, np.float32)
