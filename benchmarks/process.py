"""Engines in processes of their own, taking turns."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.names import example_file
from benchmarks.peers import ROOT, WORKER, Engine

# A run is as long as this many seconds of one engine before the next one's turn.
BLOCK_SECONDS = 0.2
LEAST_RUNS = 3


@dataclass
class Times:
    """Seconds of every measured run."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


class Worker:
    """One engine with one model. Stopped (SIGSTOP) except while it runs, so that idle threads cost nobody anything.

    ``hello`` is what the worker says of import, load, first run, memory and difference to PyTorch. Raises
    ChildProcessError when the engine cannot run the model.
    """

    def __init__(self, engine: Engine, python: str, folder: Path, variant: str, threads: int) -> None:
        self.engine = engine
        self.times = Times()
        self.log = folder / f"{variant}.{engine.name}.log"
        command = [python, str(WORKER), str(ROOT), engine.runner, str(folder / variant)]
        command += [str(example_file(folder, variant)), str(threads)]
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.hello = self._answer()
        self.runs = LEAST_RUNS

    def warm_up(self) -> None:
        """Runs without measuring, and finds how many runs fill a block."""
        self._process.send_signal(signal.SIGCONT)
        quickest = min(self.run(LEAST_RUNS)["wall"])
        self.pause()
        self.runs = max(LEAST_RUNS, int(BLOCK_SECONDS / max(quickest, 1e-5)))

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def block(self) -> None:
        """One turn."""
        self._process.send_signal(signal.SIGCONT)
        answer = self.run(self.runs)
        self.pause()
        self.times.wall += answer["wall"]
        self.times.cpu += answer["cpu"]

    def cpu_seconds(self) -> float:
        """CPU time of the process so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def run(self, times: int) -> dict[str, Any]:
        """Seconds of each of so many runs, as worker.py says."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{times}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.close()
            raise ChildProcessError(f"{self.engine.title} ended: see {self.log}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def interleave(workers: list[Worker], rounds: int) -> None:
    """Every worker's turns; the order is reversed from round to round, so that a drift of the machine meets all."""
    for worker in workers:
        worker.warm_up()
    for turn in range(rounds):
        for worker in workers if turn % 2 == 0 else reversed(workers):
            worker.block()
