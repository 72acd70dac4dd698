"""What Linux tells of this machine: cores and their kinds, caches, CPU features, memory. Unknowns are left out."""

from __future__ import annotations

import ctypes
import os
import platform
import re
from pathlib import Path
from typing import Any

_CPUS = Path("/sys/devices/system/cpu")
_CPUINFO = Path("/proc/cpuinfo")
_AT_HWCAP, _AT_HWCAP2 = 16, 26
# (auxiliary vector, bit) by machine, from Linux's asm/hwcap.h.
_ARM_FEATURES = {
    "aarch64": {"neon": (_AT_HWCAP, 1), "fp16": (_AT_HWCAP, 10), "dotprod": (_AT_HWCAP, 20), "sve": (_AT_HWCAP, 22),
                "i8mm": (_AT_HWCAP2, 13), "bf16": (_AT_HWCAP2, 14)},
    "armv7l": {"neon": (_AT_HWCAP, 12), "vfpv4": (_AT_HWCAP, 16), "fp16": (_AT_HWCAP, 22), "dotprod": (_AT_HWCAP, 24),
               "i8mm": (_AT_HWCAP, 27)},
}  # fmt: skip
_X86_FEATURES = ("sse2", "avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8")
# Of ARM Ltd., as /proc/cpuinfo numbers them.
_ARM_PARTS = {
    0xC05: "Cortex-A5", 0xC07: "Cortex-A7", 0xC08: "Cortex-A8", 0xC09: "Cortex-A9", 0xC0F: "Cortex-A15",
    0xD03: "Cortex-A53", 0xD04: "Cortex-A35", 0xD05: "Cortex-A55", 0xD07: "Cortex-A57", 0xD08: "Cortex-A72",
    0xD09: "Cortex-A73", 0xD0A: "Cortex-A75", 0xD0B: "Cortex-A76", 0xD0C: "Neoverse N1", 0xD0D: "Cortex-A77",
    0xD41: "Cortex-A78", 0xD44: "Cortex-X1", 0xD46: "Cortex-A510", 0xD47: "Cortex-A710", 0xD48: "Cortex-X2",
}  # fmt: skip


def machine() -> str:
    """The architecture this process runs as: a 32-bit one on a 64-bit kernel is "armv7l" or "x86"."""
    name = platform.machine()
    wide = ctypes.sizeof(ctypes.c_void_p) == 8
    return name if wide else {"aarch64": "armv7l", "armv8l": "armv7l", "x86_64": "x86"}.get(name, name)


def features() -> dict[str, bool]:
    """Instruction-set extensions that matter to the engine, by name."""
    bits = _ARM_FEATURES.get(machine())
    if bits is not None:
        return {name: bool(_auxiliary(vector) >> bit & 1) for name, (vector, bit) in bits.items()}
    flags = re.search(r"^flags\s*:(.*)$", _read(_CPUINFO), re.M)
    return {} if flags is None else {name: name in flags[1].split() for name in _X86_FEATURES}


def _auxiliary(vector: int) -> int:
    """An entry of the auxiliary vector, which Linux and emulators set to what the CPU can do."""
    try:
        read = ctypes.CDLL(None).getauxval
    except (OSError, AttributeError):
        return 0
    read.restype, read.argtypes = ctypes.c_ulong, (ctypes.c_ulong,)
    return int(read(vector))


def cores() -> list[dict[str, Any]]:
    """Groups of equal cores, fastest first: their numbers, how many of them this process may use, what they are.

    Where there are several groups, "kind" is "big" for the fastest and "little" for the slowest.
    """
    allowed = os.sched_getaffinity(0)
    groups: dict[tuple[int, int, str], list[int]] = {}
    for core in _online():
        at = _CPUS / f"cpu{core}"
        key = (_number(at / "cpufreq" / "cpuinfo_max_freq"), _number(at / "cpu_capacity"), _model(core))
        groups.setdefault(key, []).append(core)
    ordered = sorted(groups.items(), key=lambda item: item[0][:2], reverse=True)
    found: list[dict[str, Any]] = []
    for (clock, capacity, model), numbers in ordered:
        group: dict[str, Any] = {"cores": numbers, "allowed": len(allowed & set(numbers))}
        group.update({"model": model} if model else {})
        group.update({"max_mhz": clock // 1000} if clock else {})
        group.update({"capacity": capacity} if capacity else {})
        governor = _read(_CPUS / f"cpu{numbers[0]}" / "cpufreq" / "scaling_governor").strip()
        group.update({"governor": governor} if governor else {})
        found.append(group)
    if len(found) > 1:
        found[0]["kind"], found[-1]["kind"] = "big", "little"
    return found


def _online() -> list[int]:
    listed = _read(_CPUS / "online").strip()
    if not listed:
        return sorted(os.sched_getaffinity(0))
    spans = [part.split("-") for part in listed.split(",")]
    return [core for span in spans for core in range(int(span[0]), int(span[-1]) + 1)]


def _model(core: int) -> str:
    """What /proc/cpuinfo calls the core."""
    for block in _read(_CPUINFO).split("\n\n"):
        fields = dict(re.findall(r"^([^:\n]+?)\s*:\s*(.*)$", block, re.M))
        if fields.get("processor") != str(core):
            continue
        if fields.get("CPU implementer") == "0x41":
            part = int(fields.get("CPU part", "0"), 16)
            return _ARM_PARTS.get(part, f"ARM part {part:#x}")
        return str(fields.get("model name", ""))
    return ""


def caches() -> list[dict[str, Any]]:
    """Caches of the first core this process may use."""
    found = []
    for at in sorted((_CPUS / f"cpu{min(os.sched_getaffinity(0))}" / "cache").glob("index*")):
        level, kind, size = (_read(at / name).strip() for name in ("level", "type", "size"))
        if level and size:
            shared = _read(at / "shared_cpu_list").strip()
            found.append({"level": int(level), "type": kind, "size": size, "shared_by_cores": shared})
    return found


def memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * page_bytes()


def page_bytes() -> int:
    return os.sysconf("SC_PAGESIZE")


def _number(path: Path) -> int:
    text = _read(path).strip()
    return int(text) if text.isdigit() else 0


def _read(path: Path) -> str:
    """The file's text; empty where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
