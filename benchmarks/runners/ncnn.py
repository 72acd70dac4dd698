"""ncnn, in fp32 or, where BENCHMARK_FP16 is set, with its half-precision storage and arithmetic."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from benchmarks.runners.base import Runner


class Ncnn(Runner):
    module = "ncnn"

    def __init__(self, engine: Any, path: str, threads: int) -> None:
        self.engine = engine
        self.net = engine.Net()
        options = self.net.opt
        options.num_threads = threads
        options.use_vulkan_compute = False
        if not os.environ.get("BENCHMARK_FP16"):
            options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
            options.use_bf16_storage = False
        for load, suffix in ((self.net.load_param, ".ncnn.param"), (self.net.load_model, ".ncnn.bin")):
            if load(path + suffix) != 0:
                raise RuntimeError("ncnn cannot load " + path + suffix)

    def set_inputs(self, inputs: dict[str, np.ndarray]) -> None:
        """Without the batch dimension; the mask of the text network is a float there."""
        arrays = [array.astype(np.float32) if name == "mask" else array for name, array in inputs.items()]
        self.inputs = [self.engine.Mat(np.ascontiguousarray(array[0])).clone() for array in arrays]

    def run(self) -> None:
        extractor = self.net.create_extractor()
        for index, matrix in enumerate(self.inputs):
            extractor.input(f"in{index}", matrix)
        self.result = extractor.extract("out0")[1]

    def output(self) -> np.ndarray:
        return np.array(self.result, np.float32)
