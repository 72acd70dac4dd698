"""Runs one model in one engine, on command. Under any Python from 3.7 that has NumPy and the engine.

    worker.py FOLDER_OF_THE_REPOSITORY RUNNER MODEL INPUTS.npz THREADS [count N]

RUNNER is "module:Class" below ``benchmarks.runners``, MODEL a path without suffix. The worker first prints a line of
JSON: seconds of import, load and first run, the largest difference to PyTorch's output as a part of its largest value,
and peak memory in bytes. Then every line "N" on standard input runs the model N times and is answered by
{"wall": [...], "cpu": [...]}: seconds of elapsed time and of CPU time of all threads, for each run. Linux adds up what
other threads have used a few times a hundredth of a second only: of several threads, the mean of all N stands for each.
With "count N" it only runs the model N times and stops. Each run is then followed by a call of getppid, by which the
plugin that counts instructions (arm/count.c) knows where a run ends.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np


def main(root: str, runner_name: str, path: str, examples: str, threads: str, *rest: str) -> None:
    # What engines print on standard output must not mix with the answers.
    answers = os.dup(1)
    os.dup2(2, 1)
    inputs = dict(np.load(examples))
    expected = inputs.pop("y")
    sys.path[:1] = []
    sys.path.append(root)  # behind the installed packages, of which this project may be one
    module, _, name = runner_name.partition(":")
    kind = getattr(importlib.import_module("benchmarks.runners." + module), name)
    times = [(time.perf_counter(), time.process_time())]

    def lap() -> None:
        times.append((time.perf_counter(), time.process_time()))

    engine = importlib.import_module(kind.module)
    lap()
    runner = kind(engine, path, int(threads))
    runner.set_inputs(inputs)
    lap()
    runner.run()
    lap()
    if rest:
        count(runner, int(rest[1]))
    hello: dict[str, Any] = {"error": difference(runner.output(), expected)}
    for index, step in enumerate(("import", "load", "first")):
        wall, cpu = (end - start for start, end in zip(times[index], times[index + 1]))
        hello[step] = {"wall": wall, "cpu": cpu}
    hello["peak"] = peak_memory()
    say(answers, hello)
    if not rest:
        serve(runner, answers, int(threads))
    os._exit(0)  # some engines crash when they are torn down


def count(runner: Any, runs: int) -> None:
    """The first run has been made."""
    os.getppid()
    for _ in range(runs - 1):
        runner.run()
        os.getppid()


def serve(runner: Any, answers: int, threads: int) -> None:
    for line in sys.stdin:
        wall, cpu = [], []
        whole = time.process_time()
        for _ in range(int(line)):
            cpu_start, start = time.process_time(), time.perf_counter()
            runner.run()
            wall.append(time.perf_counter() - start)
            cpu.append(time.process_time() - cpu_start)
        if threads > 1:
            cpu = [(time.process_time() - whole) / len(cpu)] * len(cpu)
        say(answers, {"wall": wall, "cpu": cpu})


def difference(found: np.ndarray, expected: np.ndarray) -> float | None:
    """None for an output of another size."""
    if found.size != expected.size:
        return None
    return float(np.abs(found.reshape(-1) - expected.reshape(-1)).max() / np.abs(expected).max())


def peak_memory() -> int:
    """Bytes. What getrusage says begins with the peak of the process that started this one."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def say(file: int, answer: dict[str, Any]) -> None:
    os.write(file, (json.dumps(answer) + "\n").encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
