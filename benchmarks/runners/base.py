"""What a runner does, and what several of them need."""

from __future__ import annotations

from typing import Any

import numpy as np


class Runner:
    """One model in one engine.

    Made with the engine's imported module, the model's path without its suffix, and a number of threads. Then
    ``set_inputs`` once, ``run`` as often as wanted, and ``output`` after a run.
    """

    module = ""  # to import

    def __init__(self, engine: Any, path: str, threads: int) -> None:
        raise NotImplementedError

    def set_inputs(self, inputs: dict[str, np.ndarray]) -> None:
        """Inputs by name, images as NCHW, in the order of the network's inputs."""
        raise NotImplementedError

    def run(self) -> None:
        raise NotImplementedError

    def output(self) -> np.ndarray:
        """The only output of the last run, as float32."""
        raise NotImplementedError


class NoEngine(Runner):
    """A bare NumPy process, which the memory of the others is compared with."""

    module = "numpy"

    def __init__(self, engine: Any, path: str, threads: int) -> None:
        pass

    def set_inputs(self, inputs: dict[str, np.ndarray]) -> None:
        pass

    def run(self) -> None:
        pass

    def output(self) -> np.ndarray:
        return np.zeros(0, np.float32)


def fitted(array: np.ndarray, shape: list[int]) -> np.ndarray:
    """An NCHW image in the layout of ``shape``."""
    if list(array.shape) == list(shape):
        return array
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1))


def quantized(array: np.ndarray, scale: float, zero_point: int) -> np.ndarray:
    return np.clip(np.round(array / scale) + zero_point, -128, 127).astype(np.int8)


def dequantized(array: np.ndarray, scale: float, zero_point: int) -> np.ndarray:
    return (array.astype(np.float32) - zero_point) * np.float32(scale)
