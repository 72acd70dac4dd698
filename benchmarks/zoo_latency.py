"""Compares this project with MindSpore Lite 2.0.0 on image networks and prints Markdown tables.

    python benchmarks/zoo_latency.py --corpus DIR [--mindspore-lite PYTHON3.7] [--wheel FILE]

DIR holds NAME.mindir files. Each network is converted and run by both; both engines take turns in one run, so that
a disturbance of the machine meets both. Without a Python 3.7 that has mindspore-lite==2.0.0 only this project is timed.
The second table: size of the wheel and of the library in it, conversion time and peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

WORKER = Path(__file__).with_name("latency_worker.py")
# MindSpore Lite's own converter, in its own Python.
CONVERT = """
import sys, mindspore_lite as mslite
converter = mslite.Converter()
converter.save_type = mslite.ModelType.MINDIR_LITE
converter.convert(mslite.FmkType.MINDIR, sys.argv[1], sys.argv[2])
"""


@dataclass
class Engine:
    """One engine with one model, in a process of its own."""

    name: str
    process: subprocess.Popen[str]
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @classmethod
    def start(cls, name: str, python: str, model: Path, threads: int) -> Engine | None:
        """None when the engine cannot run the model."""
        command = [python, str(WORKER), name, str(model), str(threads)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
        engine = cls(name, process)
        return engine if engine._answer() is not None else None

    def run(self, times: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{times}\n")
        self.process.stdin.flush()
        answer = self._answer()
        if answer is None:
            raise SystemExit(f"{self.name} died")
        self.wall += answer["wall"]
        self.cpu += answer["cpu"]

    def stop(self) -> None:
        self.process.communicate()

    def _answer(self) -> dict[str, list[float]] | None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                answer: dict[str, list[float]] = json.loads(line)
                return answer
        return None


def milliseconds(seconds: list[float]) -> str:
    """Minimum / 10th percentile / median."""
    values = (min(seconds), float(np.percentile(seconds, 10)), float(np.median(seconds)))
    return " / ".join(f"{1000 * value:.2f}" for value in values)


def converted(source: Path, folder: Path, rival: str | None) -> tuple[Path | None, Path | None, str]:
    """The network's .ms by this project and by MindSpore Lite, and a remark."""
    ours = folder / f"{source.stem}.ms"
    command = [sys.executable, "-m", "converter.cli", "--fmk=MINDIR", f"--modelFile={source}", f"--outputFile={ours}"]
    if subprocess.run(command, capture_output=True).returncode != 0:
        return None, None, "not converted"
    if rival is None:
        return ours, None, ""
    theirs = folder / f"{source.stem}.mindspore_lite.ms"
    subprocess.run([rival, "-c", CONVERT, str(source), str(theirs.with_suffix(""))], capture_output=True)
    if theirs.exists():
        return ours, theirs, ""
    return ours, ours, "MindSpore Lite cannot convert it and runs our file"


def compare(
    source: Path, threads: int, files: tuple[Path, Path | None], rival: str | None, args: argparse.Namespace
) -> str:
    """One line of the table."""
    ours = Engine.start("lite_runtime", sys.executable, files[0], threads)
    if ours is None:
        return f"| {source.stem} | {threads} | does not run | | | | |"
    theirs = Engine.start("mindspore_lite", rival, files[1], threads) if rival and files[1] else None
    engines = [engine for engine in (ours, theirs) if engine is not None]
    for engine in engines:
        engine.run(args.warm_up)
        engine.wall.clear()
        engine.cpu.clear()
    for turn in range(args.turns):
        for engine in engines if turn % 2 == 0 else reversed(engines):
            engine.run(args.runs)
    for engine in engines:
        engine.stop()
    cells = [source.stem, str(threads), milliseconds(ours.wall), milliseconds(ours.cpu)]
    if theirs is None:
        cells += ["", "", ""]
    else:
        ratio = min(ours.wall) / min(theirs.wall), np.median(ours.wall) / np.median(theirs.wall)
        cells += [milliseconds(theirs.wall), milliseconds(theirs.cpu), f"{ratio[0]:.2f} / {ratio[1]:.2f}"]
    return "| " + " | ".join(cells) + " |"


def latency(args: argparse.Namespace, folder: Path) -> None:
    rival = args.mindspore_lite
    print(f"{machine()}; {args.turns} turns of {args.runs} runs, batch 1, fp32.\n")
    heads = ("network", "threads", "wall", "CPU", "MindSpore Lite: wall", "CPU", "ratio of wall: min / median")
    print(f"Times in ms: min / p10 / median.\n\n| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    remarks = []
    for source in sorted(args.corpus.glob("*.mindir")):
        ours, theirs, remark = converted(source, folder, rival)
        if remark:
            remarks.append(f"{source.stem}: {remark}.")
        if ours is None:
            continue
        for threads in args.threads:
            print(compare(source, threads, (ours, theirs), rival, args), flush=True)
    print("\n" + "\n".join(remarks))


def conversion(source: Path, folder: Path) -> tuple[float, float]:
    """Seconds and peak memory in MB of one run of converter_lite."""
    target = folder / "conversion.ms"
    command = [sys.executable, "-m", "converter.cli", "--fmk=MINDIR", f"--modelFile={source}", f"--outputFile={target}"]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{source} was not converted")
    return seconds, usage.ru_maxrss / 1000


def costs(args: argparse.Namespace, folder: Path) -> None:
    print("| what | value |\n|---|---|")
    if args.wheel:
        with zipfile.ZipFile(args.wheel) as wheel:
            library = next(info for info in wheel.infolist() if info.filename.endswith("liblite_runtime.so"))
        print(f"| wheel | {args.wheel.stat().st_size / 1000:.0f} kB |")
        print(f"| stripped library | {library.file_size / 1000:.0f} kB |")
    for source in sorted(args.corpus.glob("mobilenet_v2*.mindir")):
        runs = [conversion(source, folder) for _ in range(5)]
        seconds, memory = (float(np.median(values)) for values in zip(*runs))
        size = source.stat().st_size / 1e6
        print(f"| converting {source.stem} ({size:.1f} MB) | {seconds:.2f} s, {memory:.0f} MB at peak |")


def machine() -> str:
    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = models[0] if models else cpu
    return f"{cpu or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="folder with NAME.mindir files")
    default = os.environ.get("MINDSPORE_LITE_PYTHON") or shutil.which("python3.7")
    parser.add_argument("--mindspore-lite", default=default, help="Python 3.7 with mindspore-lite==2.0.0")
    parser.add_argument("--wheel", type=Path, help="wheel to measure")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--runs", type=int, default=10, help="runs per turn")
    parser.add_argument("--warm-up", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        latency(args, Path(folder))
        costs(args, Path(folder))


if __name__ == "__main__":
    main()
