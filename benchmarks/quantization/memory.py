"""What a model takes of memory, in a process of its own: python -m benchmarks.quantization.memory MODEL."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import lite_runtime

_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Memory:
    """Bytes above what the process had before: the most that was resident while the model was loaded and run, and what
    is then its own, without pages of the file, which the system takes back when it needs them."""

    peak: int
    own: int


def of(model: Path) -> Memory:
    command = [sys.executable, "-m", "benchmarks.quantization.memory", str(model)]
    root = Path(__file__).resolve().parent.parent.parent
    return Memory(**json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=root).stdout))


def _status(key: str) -> int:
    return 1024 * next(int(line.split()[1]) for line in _STATUS.read_text().splitlines() if line.startswith(key))


def _run(model: str | bytes) -> lite_runtime.Predictor:
    run = lite_runtime.load(model, threads=1)
    run(*(np.ones(spec.shape or (), spec.dtype) for spec in run.inputs))
    return run


def _measure(model: str) -> Memory:
    with np.load(Path(lite_runtime.__file__).with_name("self_test.npz")) as arrays:
        _run(arrays["float"].tobytes())  # what comes with the first model of a process is no part of it
    before, own = _status("VmRSS"), _status("RssAnon")
    Path("/proc/self/clear_refs").write_text("5")  # begins a new peak
    run = _run(model)
    found = Memory(_status("VmHWM") - before, _status("RssAnon") - own)
    del run
    return found


if __name__ == "__main__":
    print(json.dumps(asdict(_measure(sys.argv[1]))))
