"""The CPU's own counters (Linux perf events), for this process and the threads it starts from now on."""

from __future__ import annotations

import ctypes
import os
import platform
import struct

from lite_runtime.errors import LiteRuntimeError

# Number of the system call perf_event_open.
_SYSCALL = {"x86_64": 298, "aarch64": 241, "armv7l": 364}
_HARDWARE, _SOFTWARE, _CACHE = 0, 1, 3
# Of each choice of --perfEvent: name, kind of event and its number.
EVENTS: dict[str, tuple[tuple[str, int, int], ...]] = {
    "CYCLE": (("cycles", _HARDWARE, 0), ("instructions", _HARDWARE, 1)),
    "CACHE": (("cache_references", _HARDWARE, 2), ("cache_misses", _HARDWARE, 3), ("l1d_misses", _CACHE, 1 << 16)),
    "STALL": (("stalled_cycles_frontend", _HARDWARE, 7), ("stalled_cycles_backend", _HARDWARE, 8)),
    # Kept by the kernel, so to be had wherever perf events are: the CPU time of all threads.
    "CLOCK": (("task_clock_ns", _SOFTWARE, 1),),
}
# Count in threads started later as well (inherit), and nothing of the kernel's (exclude_kernel, exclude_hv).
_FLAGS = 1 << 1 | 1 << 5 | 1 << 6
_ATTRIBUTES_SIZE = 64


class Counters:
    """Counts from the moment it is made; ``close`` it. Raises LiteRuntimeError where counting is not possible.

    Example:
        >>> counters = Counters(EVENTS["CYCLE"])
        >>> counters.read()
        [...]
    """

    def __init__(self, events: tuple[tuple[str, int, int], ...]) -> None:
        self.names = [name for name, _, _ in events]
        self._files: list[int] = []
        for name, kind, number in events:
            try:
                self._files.append(_open(kind, number))
            except OSError as error:
                self.close()
                raise LiteRuntimeError(
                    f"perfProfiling: the counter '{name}' cannot be had here ({error.strerror}): this needs a Linux "
                    f"system that shows its CPU's counters (not every virtual machine does), "
                    f"/proc/sys/kernel/perf_event_paranoid at most 2, and a container that allows perf_event_open"
                ) from None

    def read(self) -> list[int]:
        return [struct.unpack("Q", os.read(file, 8))[0] for file in self._files]

    def close(self) -> None:
        for file in self._files:
            os.close(file)
        self._files.clear()


def _open(kind: int, number: int) -> int:
    """The file of one counter. Raises OSError."""
    call = _SYSCALL.get(platform.machine())
    if call is None:
        raise OSError(38, "no perf events on this platform")
    attributes = ctypes.create_string_buffer(_ATTRIBUTES_SIZE)
    struct.pack_into("IIQQQQQ", attributes, 0, kind, _ATTRIBUTES_SIZE, number, 0, 0, 0, _FLAGS)
    library = ctypes.CDLL(None, use_errno=True)
    file: int = library.syscall(ctypes.c_long(call), attributes, 0, -1, -1, ctypes.c_ulong(0))
    if file < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return file
