"""LiteRT and its older name, tflite-runtime, both with the XNNPACK delegate."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.runners.base import Runner, dequantized, fitted, quantized


class LiteRt(Runner):
    module = "ai_edge_litert.interpreter"

    def __init__(self, engine: Any, path: str, threads: int) -> None:
        self.interpreter = engine.Interpreter(path + ".tflite", num_threads=threads)
        self.interpreter.allocate_tensors()

    def set_inputs(self, inputs: dict[str, np.ndarray]) -> None:
        """Their names end in the number of the network's input."""
        details = sorted(self.interpreter.get_input_details(), key=lambda detail: str(detail["name"]))
        for detail, array in zip(details, inputs.values()):
            array = fitted(array, detail["shape"])
            if detail["dtype"] == np.int8:
                array = quantized(array, *detail["quantization"])
            self.interpreter.set_tensor(detail["index"], array)

    def run(self) -> None:
        self.interpreter.invoke()

    def output(self) -> np.ndarray:
        detail = self.interpreter.get_output_details()[0]
        value = self.interpreter.get_tensor(detail["index"])
        if detail["dtype"] == np.int8:
            value = dequantized(value, *detail["quantization"])
        return np.asarray(value, np.float32)


class TfLite(LiteRt):
    module = "tflite_runtime.interpreter"
