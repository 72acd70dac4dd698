"""A 64-bit ARM system in a folder for emulated programs: Debian with Python and NumPy, and the peers' wheels."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import ROOT, Engine

_SUITE = "bookworm"
_PYTHON = "3.11"  # of that suite
_PACKAGES = ("python3", "python3-numpy", "libstdc++6", "libgomp1")
_PLATFORMS = ("2014", "_2_17", "_2_24", "_2_27", "_2_28", "_2_31", "_2_34")


@dataclass(frozen=True)
class Cpu:
    """A CPU of QEMU, and what Linux says of it: engines look there for what they may use."""

    name: str
    part: str
    features: str


CPUS = {
    "cortex-a72": Cpu("cortex-a72", "0xd08", "fp asimd evtstrm crc32 cpuid"),
    "cortex-a76": Cpu(
        "cortex-a76", "0xd0b", "fp asimd evtstrm crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc asimddp"
    ),
}


class ArmRoot:
    """Made below ``folder`` by mmdebstrap and pip, both of which need a network; what is there is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.system = self.folder / "root"
        self.wheels = self.folder / "wheels"
        if not (self.system / "usr/bin" / f"python{_PYTHON}").exists():
            _run(
                "mmdebstrap", "--mode=root", "--variant=extract", "--architectures=arm64",
                f"--include={','.join(_PACKAGES)}", _SUITE, str(self.system),
            )  # fmt: skip

    def install(self, engine: Engine) -> Path:
        """The folder with the engine's packages. Raises SystemExit when there is no wheel."""
        target = self.folder / "packages" / engine.name
        if target.exists():
            return target
        platforms = [flag for tag in _PLATFORMS for flag in ("--platform", f"manylinux{tag}_aarch64")]
        abis = [flag for tag in (f"cp{_PYTHON.replace('.', '')}", "abi3", "none") for flag in ("--abi", tag)]
        found = self._wheels(engine)
        if not found:
            _run(
                sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
                "--implementation", "cp", "--python-version", _PYTHON, *platforms, *abis, "--dest", str(self.wheels),
                engine.package,
            )  # fmt: skip
            found = self._wheels(engine)
        partial = target.with_name(target.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        with zipfile.ZipFile(found[-1]) as wheel:
            wheel.extractall(partial)
        return partial.rename(target)

    def _wheels(self, engine: Engine) -> list[Path]:
        return sorted(self.wheels.glob(f"{engine.package.replace('-', '_')}-*aarch64.whl"))

    def become(self, cpu: Cpu) -> None:
        """Writes what Linux would say of one core of this CPU; without it some engines abort."""
        text = (
            f"processor : 0\nFeatures : {cpu.features}\nCPU implementer : 0x41\nCPU architecture: 8\n"
            f"CPU variant : 0x0\nCPU part : {cpu.part}\nCPU revision : 1\n"
        )
        self._write("proc/cpuinfo", text)
        for name in ("kernel_max", "possible", "present", "online"):
            self._write(f"sys/devices/system/cpu/{name}", "0\n")

    def _write(self, name: str, text: str) -> None:
        path = self.system / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def python(self, cpu: Cpu, *options: str) -> list[str]:
        """Command that runs the system's Python as this CPU; ``options`` are QEMU's."""
        libraries = f"{self.system}/usr/lib/aarch64-linux-gnu"
        settings = {
            "LD_LIBRARY_PATH": f"{libraries}/blas:{libraries}/lapack",
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        flags = [flag for name, value in settings.items() for flag in ("-E", f"{name}={value}")]
        command = ["qemu-aarch64", "-cpu", cpu.name, "-L", str(self.system), *flags, *options]
        return [*command, str(self.system / "usr/bin" / f"python{_PYTHON}")]


def build_plugin(folder: Path) -> Path:
    library = folder.resolve() / "libcount.so"
    source = ROOT / "benchmarks/arm/count.c"
    if not library.exists() or library.stat().st_mtime < source.stat().st_mtime:
        _run("cc", "-O2", "-fPIC", "-shared", "-o", str(library), str(source))
    return library


def build_engine(folder: Path) -> Path:
    """This project's library, cross-compiled."""
    build = folder.resolve() / "engine"
    toolchain = ROOT / "cmake/aarch64-linux-gnu.cmake"
    _run(
        "cmake", "-S", str(ROOT), "-B", str(build), "-G", "Ninja",
        f"-DCMAKE_TOOLCHAIN_FILE={toolchain}", "-DLITE_RUNTIME_CONVERTER=OFF",
    )  # fmt: skip
    _run("cmake", "--build", str(build), "--target", "lite_runtime")
    return build / "lite_runtime/core/liblite_runtime.so"


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    except FileNotFoundError:
        raise SystemExit(f"{command[0]} is not installed") from None
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"{command[0]} failed ({error.returncode}): {' '.join(command)}") from None
