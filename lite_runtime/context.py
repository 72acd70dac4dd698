"""How a model is to be run: MindSpore Lite's Context with its attribute names and checks."""

from __future__ import annotations

from typing import Any

from lite_runtime.errors import ArgumentError

_TARGETS = ("cpu", "gpu", "ascend")
_PRECISION_MODES = ("enforce_fp32", "preferred_fp16")


def _natural(name: str, value: object) -> int:
    """value, when it is an int of at least 0."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be int, but got {type(value)}.")
    if value < 0:
        raise ValueError(f"{name} must be a non-negative int, but got {value}.")
    return value


class _Settings:
    """Attributes with a fixed set of names, so that a misspelt one is an error."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and not hasattr(self, name):
            raise AttributeError(f"'{name}' is not an attribute of {type(self).__name__.lower()} settings")
        super().__setattr__(name, value)

    def _names(self) -> list[str]:
        own = [n for n in vars(self) if not n.startswith("_")]
        return own + [n for n, v in vars(type(self)).items() if isinstance(v, property)]

    def __str__(self) -> str:
        return ",\n".join(f"{name}: {getattr(self, name)}" for name in self._names()) + "."


class CPU(_Settings):
    """CPU settings.

    Attributes:
        thread_num: threads an operator is spread over; 0: one per core the process may use.
        inter_op_parallel_num: upper bound of operators that run at once. Operators run one after another here,
            each on all threads, so any value gives the same results and speed.
        precision_mode: "enforce_fp32", or "preferred_fp16", which computes in float16 where the CPU does (64-bit ARM
            from ARMv8.2 on) and float32 elsewhere. A model whose values leave float16's range goes on in float32.
        thread_affinity_mode: 0 no binding, 1 big cores first, 2 little cores first.
        thread_affinity_core_list: explicit core numbers, one per thread, override the mode. The first is for the
            thread that calls predict, which is bound to it only meanwhile.
    """

    def __init__(self) -> None:
        self._thread_num = 0
        self._inter_op_parallel_num = 0
        self._precision_mode = "enforce_fp32"
        self._thread_affinity_mode = 0
        self._thread_affinity_core_list: list[int] = []

    @property
    def thread_num(self) -> int:
        return self._thread_num

    @thread_num.setter
    def thread_num(self, value: int) -> None:
        self._thread_num = _natural("cpu_thread_num", value)

    @property
    def inter_op_parallel_num(self) -> int:
        return self._inter_op_parallel_num

    @inter_op_parallel_num.setter
    def inter_op_parallel_num(self, value: int) -> None:
        self._inter_op_parallel_num = _natural("cpu_inter_op_parallel_num", value)

    @property
    def precision_mode(self) -> str:
        return self._precision_mode

    @precision_mode.setter
    def precision_mode(self, value: str) -> None:
        if value not in _PRECISION_MODES:
            raise ValueError(f"cpu_precision_mode must be in [{', '.join(_PRECISION_MODES)}], but got {value}.")
        self._precision_mode = value

    @property
    def thread_affinity_mode(self) -> int:
        return self._thread_affinity_mode

    @thread_affinity_mode.setter
    def thread_affinity_mode(self, value: int) -> None:
        if _natural("cpu_thread_affinity_mode", value) > 2:
            raise ValueError(f"cpu_thread_affinity_mode must be 0, 1 or 2, but got {value}.")
        self._thread_affinity_mode = value

    @property
    def thread_affinity_core_list(self) -> list[int]:
        return self._thread_affinity_core_list

    @thread_affinity_core_list.setter
    def thread_affinity_core_list(self, value: list[int]) -> None:
        if not isinstance(value, list):
            raise TypeError(f"cpu_thread_affinity_core_list must be list, but got {type(value)}.")
        self._thread_affinity_core_list = [_natural("cpu_thread_affinity_core_list element", v) for v in value]


class GPU(_Settings):
    """GPU settings of MindSpore Lite, kept so that scripts that set them still run on the CPU."""

    def __init__(self) -> None:
        vars(self).update(device_id=0, group_size=1, rank_id=0, precision_mode="enforce_fp32")


class Ascend(_Settings):
    """Ascend settings of MindSpore Lite, kept so that scripts that set them still run on the CPU."""

    def __init__(self) -> None:
        vars(self).update(device_id=0, precision_mode="")


class Parallel(_Settings):
    """Settings of ModelParallelRunner.

    Attributes:
        workers_num: how many predictions may run at once; 0: as many as there are cores for.
        config_info, config_path: MindSpore Lite's extra configuration. Nothing in it applies to this runtime:
            building a model with either set is refused.
    """

    def __init__(self) -> None:
        self._workers_num = 0
        vars(self).update(config_info="", config_path="")

    @property
    def workers_num(self) -> int:
        return self._workers_num

    @workers_num.setter
    def workers_num(self, value: int) -> None:
        self._workers_num = _natural("workers_num", value)


class Context:
    """Where and how to run a model.

    Example:
        >>> context = Context()
        >>> context.target = ["cpu"]
        >>> context.cpu.thread_num = 2
    """

    def __init__(self) -> None:
        self._target = ["cpu"]
        self.cpu = CPU()
        self.gpu = GPU()
        self.ascend = Ascend()
        self.parallel = Parallel()

    @property
    def target(self) -> list[str]:
        """Devices in order of preference. Only ["cpu"] can be run."""
        return self._target

    @target.setter
    def target(self, value: list[str]) -> None:
        if not isinstance(value, list):
            raise TypeError(f"target must be list, but got {type(value)}.")
        for device in value:
            if not isinstance(device, str):
                raise TypeError(f"target element must be str, but got {type(device)}.")
            if device.lower() not in _TARGETS:
                raise ValueError(f"target elements must be in {list(_TARGETS)}, but got {device}.")
        self._target = list(value) or ["cpu"]

    def __str__(self) -> str:
        return f"target: {self.target}."


def check_offered(context: Context) -> None:
    """Raises ArgumentError when the context asks for what this runtime does not have."""
    others = [device for device in context.target if device.lower() != "cpu"]
    if others:
        raise ArgumentError(f"target {others[0]!r} is not offered: this runtime computes on the CPU, use ['cpu']")
    parallel: Any = context.parallel
    for name in ("config_info", "config_path"):
        if getattr(parallel, name):
            raise ArgumentError(f"context.parallel.{name} is not offered by this runtime: leave it empty")
