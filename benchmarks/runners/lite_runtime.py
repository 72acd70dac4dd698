"""This project and MindSpore Lite: one interface."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.runners.base import Runner, fitted


class LiteRuntime(Runner):
    module = "lite_runtime"
    suffix = ".ms"

    def __init__(self, engine: Any, path: str, threads: int) -> None:
        context = engine.Context()
        context.target = ["cpu"]
        context.cpu.thread_num = threads
        self.model = engine.Model()
        self.model.build_from_file(path + self.suffix, engine.ModelType.MINDIR_LITE, context)

    def set_inputs(self, inputs: dict[str, np.ndarray]) -> None:
        self.inputs = self.model.get_inputs()
        by_name = {tensor.name: tensor for tensor in self.inputs}
        for tensor, (name, array) in zip(self.inputs, inputs.items()):
            tensor = by_name.get(name, tensor)
            tensor.set_data_from_numpy(fitted(array, tensor.shape))

    def run(self) -> None:
        self.outputs = self.model.predict(self.inputs)

    def output(self) -> np.ndarray:
        return np.asarray(self.outputs[0].get_data_to_numpy(), np.float32)


class MindSporeLite(LiteRuntime):
    module = "mindspore_lite"
    suffix = ".mindspore_lite.ms"
