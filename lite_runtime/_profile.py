"""What the engine tells of a model and of its own work: nodes, time of each step, memory, tiers, the machine's peak.

Like ``_native.py``, which it extends, this file knows about pointers; nothing imports it unless a profile is wanted.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, NamedTuple

from lite_runtime._native import Model, Session, _check, _info, _lib, _Tensor


class _Step(ctypes.Structure):
    _fields_ = (
        ("node_index", ctypes.c_size_t),
        ("name", ctypes.c_char_p),
        ("op", ctypes.c_char_p),
        ("seconds", ctypes.c_double),
        ("operations", ctypes.c_double),
        ("output", _Tensor),
    )


class _Memory(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_size_t) for name in ("constants", "packed", "arena"))


_TIER_NUMBERS = ("available", "chosen", "lanes", "gemm_rows", "gemm_columns", "gemm_i8_rows", "gemm_i8_columns")


class _Tier(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), *((name, ctypes.c_int32) for name in _TIER_NUMBERS))


class _Node(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("op", ctypes.c_char_p),
        ("primitive", ctypes.c_int32),
        ("quantized", ctypes.c_int32),
    )


_StepCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(_Step))
_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "lr_session_run_timed": (ctypes.c_int, (ctypes.c_void_p, _StepCallback, ctypes.c_void_p)),
    "lr_session_memory": (ctypes.c_int, (ctypes.c_void_p, ctypes.POINTER(_Memory))),
    "lr_model_node_count": (ctypes.c_size_t, (ctypes.c_void_p,)),
    "lr_model_node": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_size_t, ctypes.POINTER(_Node))),
    "lr_tier_count": (ctypes.c_size_t, ()),
    "lr_tier_describe": (ctypes.c_int, (ctypes.c_size_t, ctypes.POINTER(_Tier))),
    "lr_kernel_name": (ctypes.c_char_p, (ctypes.c_size_t,)),
    "lr_measure_peak": (ctypes.c_int, (ctypes.c_int32, ctypes.c_double, ctypes.POINTER(ctypes.c_double))),
}
for _name, (_result, _arguments) in _SIGNATURES.items():
    _function = getattr(_lib, _name)
    _function.restype, _function.argtypes = _result, _arguments


class Step(NamedTuple):
    """One node's work in one run. ``operations`` is two per multiply-add of a convolution or matrix product, as its
    formula states them, and 0 for other operators."""

    node: int
    name: str
    op: str
    shape: tuple[int, ...]
    seconds: float
    operations: float


class Node(NamedTuple):
    """A node of a model; ``quantized`` when it computes on quantised integers, by an operator made for them."""

    name: str
    op: str
    quantized: bool


class Memory(NamedTuple):
    """Bytes: the model's constants, its weights packed for this CPU, and the session's arena."""

    constants: int
    packed: int
    arena: int


class Tier(NamedTuple):
    """An instruction-set tier: floats in a vector and the tiles of its matrix products, (rows, columns)."""

    name: str
    available: bool
    chosen: bool
    lanes: int
    gemm_f32: tuple[int, int]
    gemm_i8: tuple[int, int]


def run_timed(session: Session, after_step: Callable[[], None] = lambda: None) -> list[Step]:
    """One run of the main graph: its steps in order. ``after_step`` is called after each; it must not raise."""
    steps: list[Step] = []

    def call(_: Any, step: Any) -> int:
        after_step()
        s = step.contents
        name, op = (text.decode("utf-8", "replace") for text in (s.name, s.op))
        steps.append(Step(s.node_index, name, op, _info(s.output).shape or (), s.seconds, s.operations))
        return 0

    with session.lock:
        _check(_lib.lr_session_run_timed(session._handle, _StepCallback(call), None))
    return steps


def nodes(model: Model) -> list[Node]:
    """The model's nodes, those of its sub-graphs too, in the order of the file."""
    found = []
    for index in range(_lib.lr_model_node_count(model._handle)):
        node = _Node()
        _check(_lib.lr_model_node(model._handle, index, ctypes.byref(node)))
        name, op = (text.decode("utf-8", "replace") for text in (node.name, node.op))
        found.append(Node(name, op, bool(node.quantized)))
    return found


def memory(session: Session) -> Memory:
    found = _Memory()
    with session.lock:
        _check(_lib.lr_session_memory(session._handle, ctypes.byref(found)))
    return Memory(found.constants, found.packed, found.arena)


def tiers() -> list[Tier]:
    """The tiers of this build, best first."""
    found = []
    for index in range(_lib.lr_tier_count()):
        t = _Tier()
        _check(_lib.lr_tier_describe(index, ctypes.byref(t)))
        tile, tile_i8 = (t.gemm_rows, t.gemm_columns), (t.gemm_i8_rows, t.gemm_i8_columns)
        found.append(Tier(t.name.decode(), bool(t.available), bool(t.chosen), t.lanes, tile, tile_i8))
    return found


def kernel_names() -> list[str]:
    """The kernels that every tier has."""
    names: list[str] = []
    while (name := _lib.lr_kernel_name(len(names))) is not None:
        names.append(name.decode())
    return names


def measure_peak(threads: int, seconds: float = 0.1) -> float:
    """The most float32 operations per second the multiply-add units were seen to do in that time."""
    found = ctypes.c_double()
    _check(_lib.lr_measure_peak(threads, seconds, ctypes.byref(found)))
    return found.value
