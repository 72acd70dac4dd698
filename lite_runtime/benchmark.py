"""``benchmark_lite``: how fast a model runs, and where the time goes. Flags are MindSpore Lite's benchmark tool's.

Exit code 0; 1 when the model, a file or a flag's value is wrong, or the accuracy is missed; 2 for an unknown flag.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from lite_runtime import _calibration, _native, _profile
from lite_runtime._counters import EVENTS, Counters
from lite_runtime.errors import ArgumentError, LiteRuntimeError
from lite_runtime.model import load_file

# A value that means: judge by the error instead.
_NO_COSINE = -1.1


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text == "true"


def _at_least(least: int) -> Any:
    def number(text: str) -> int:
        if not text.lstrip("-").isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        return int(text)

    return number


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser("benchmark_lite", description="Measures a .ms model.", allow_abbrev=False)
    p.add_argument("--modelFile", default="", help="the .ms model")
    p.add_argument("--inDataFile", default="", help="one file per input, comma between: raw or .npy; else random")
    p.add_argument("--inputShape", default="", help='shapes of the inputs, "name1:1,32,32,3;name2:1,10"')
    p.add_argument("--loopCount", type=_at_least(1), default=10, help="runs that are measured (10)")
    p.add_argument("--warmUpLoopCount", type=_at_least(0), default=3, help="runs before them (3)")
    p.add_argument("--numThreads", type=_at_least(1), default=2, help="threads (2)")
    p.add_argument(
        "--cpuBindMode", type=int, choices=(0, 1, 2), default=1, help="0 none, 1 big first, 2 little first (1)"
    )
    p.add_argument(
        "--enableFp16",
        type=_truth,
        default=False,
        help="compute in float16 where this CPU does (false)",
    )
    p.add_argument("--timeProfiling", type=_truth, default=False, help="time of every operator: true or false (false)")
    p.add_argument("--perfProfiling", type=_truth, default=False, help="the CPU's counters as well (false)")
    p.add_argument("--perfEvent", choices=tuple(EVENTS), default="CYCLE", help="which counters (CYCLE)")
    p.add_argument("--benchmarkDataFile", default="", help="recorded outputs to compare with, .npz or text")
    p.add_argument("--accuracyThreshold", type=float, default=0.5, help="largest mean error allowed, in percent (0.5)")
    p.add_argument(
        "--cosineDistanceThreshold", type=float, default=_NO_COSINE, help="least cosine similarity, judged instead"
    )
    p.add_argument("--report", default="", help="also write everything to this JSON file")
    p.add_argument("--kernels", action="store_true", help="list the instruction-set tiers and their kernels, and stop")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    args = parser().parse_args(arguments)
    try:
        if args.kernels:
            report: dict[str, Any] = _kernels()
            ok = True
        else:
            report, ok = _benchmark(args)
        if args.report:
            _write(args.report, report)
    except LiteRuntimeError as error:
        print(f"benchmark_lite: {error}", file=sys.stderr)
        return 1
    return 0 if ok else 1


def _benchmark(args: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """The report, and whether the outputs are as near as was asked for."""
    if not args.modelFile:
        raise ArgumentError("--modelFile is needed: the .ms model to measure")
    counters = Counters(EVENTS[args.perfEvent]) if args.perfProfiling else None
    start = time.perf_counter()
    model = load_file(args.modelFile)
    session = _native.Session(model, threads=args.numThreads, affinity=args.cpuBindMode, half=args.enableFp16)
    _resize(session, args.inputShape)
    inputs = _inputs(session, args.inDataFile)
    for index, array in enumerate(inputs):
        session.set_input(index, array)
    load = time.perf_counter() - start
    start = time.perf_counter()
    session.run()
    first = time.perf_counter() - start
    report: dict[str, Any] = {
        "model": args.modelFile,
        "isa": _native.isa(),
        "precision": _precision(session, args.enableFp16),
        "threads": args.numThreads,
        "load_ms": 1e3 * load,
        "first_run_ms": 1e3 * first,
    }
    ok = _check_accuracy(session, args, report) if args.benchmarkDataFile else True
    _measure(session, args, report)
    if args.timeProfiling or args.perfProfiling:
        _profile_steps(session, args, counters, report)
    return report, ok


def _precision(session: _native.Session, wanted: bool) -> str:
    """What the session computes in after its first run, and why that is not what was wanted."""
    if not wanted:
        return "float32"
    if session.uses_half():
        return "float16"
    if not _native.OFFERS_HALF:
        return "float32: this CPU, or the tier in use, does not compute in float16"
    return "float32: the model does not suit float16, or its values are too large for it"


def _resize(session: _native.Session, text: str) -> None:
    """Gives the inputs the shapes of --inputShape; the others keep theirs."""
    infos = session.inputs()
    wanted: dict[str, tuple[int, ...]] = {}
    for part in filter(None, text.split(";")):
        name, _, dims = part.rpartition(":")
        try:
            wanted[name] = tuple(int(dim) for dim in dims.split(","))
        except ValueError:
            raise ArgumentError(f'--inputShape: {part!r} is not "name:dim,dim,..."') from None
    unknown = [name for name in wanted if name not in [info.name for info in infos]]
    if unknown:
        names = ", ".join(repr(info.name) for info in infos)
        raise ArgumentError(f"--inputShape: the model has no input {unknown[0]!r}; it has {names}")
    shapes = [wanted.get(info.name, info.shape) for info in infos]
    for info, shape in zip(infos, shapes):
        if shape is None or min(shape, default=0) < 0:
            now = "unknown" if shape is None else list(shape)
            raise ArgumentError(f"the shape of input '{info.name}' is {now}: give it, --inputShape={info.name}:1,...")
    if wanted:
        session.resize(shape for shape in shapes if shape is not None)


def _inputs(session: _native.Session, files: str) -> list[np.ndarray]:
    infos = session.inputs()
    return _calibration.read_inputs(files, infos) if files else _calibration.random_inputs(infos)


def _check_accuracy(session: _native.Session, args: argparse.Namespace, report: dict[str, Any]) -> bool:
    names = [info.name for info in session.outputs()]
    found = _calibration.compare(
        dict(zip(names, session.output_values())), _calibration.read_expected(args.benchmarkDataFile)
    )
    by_cosine = args.cosineDistanceThreshold != _NO_COSINE
    ok = True
    print("Accuracy")
    for a in found:
        ok &= a.cosine >= args.cosineDistanceThreshold if by_cosine else a.mean_error <= args.accuracyThreshold
        print(f"  {a.name}: mean error {a.mean_error:.4g} %, cosine {a.cosine:.6f}, largest error {a.max_error:.3g}")
    wanted = f"cosine of {args.cosineDistanceThreshold}" if by_cosine else f"mean error of {args.accuracyThreshold} %"
    print(f"  {'within' if ok else 'FAILED: not within'} the {wanted} allowed")
    report["accuracy"] = [a._asdict() for a in found]
    return ok


def _statistics(seconds: Sequence[float]) -> dict[str, float]:
    """In milliseconds."""
    low, median, high = np.percentile(seconds, (10, 50, 90)) * 1e3
    mean = float(np.mean(seconds)) * 1e3
    return {
        "min": min(seconds) * 1e3,
        "p10": float(low),
        "median": float(median),
        "p90": float(high),
        "max": max(seconds) * 1e3,
        "mean": mean,
    }


def _measure(session: _native.Session, args: argparse.Namespace, report: dict[str, Any]) -> None:
    for _ in range(args.warmUpLoopCount):
        session.run()
    wall, cpu = [], []
    for _ in range(args.loopCount):
        cpu_start, start = time.process_time(), time.perf_counter()
        session.run()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - cpu_start)
    report["latency_ms"], report["cpu_ms"] = _statistics(wall), _statistics(cpu)
    needs = _profile.memory(session)
    report["memory"] = {**needs._asdict(), "peak_rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    print(f"{os.path.basename(args.modelFile)}: {report['isa']}, {report['precision']}, {args.numThreads} thread(s)")  # noqa: PTH119
    print(f"  load {report['load_ms']:.1f} ms, first run {report['first_run_ms']:.2f} ms")
    for title, key in (("wall time", "latency_ms"), ("CPU time", "cpu_ms")):
        print(f"  {title:9s} {', '.join(f'{k} {v:.3f}' for k, v in report[key].items() if k != 'p10')} ms")
    print("  memory    " + ", ".join(f"{k} {v / 1e6:.2f} MB" for k, v in report["memory"].items()))


def _profile_steps(
    session: _native.Session, args: argparse.Namespace, counters: Counters | None, report: dict[str, Any]
) -> None:
    """Times every node in further runs; a node's time is its least."""
    peak = _profile.measure_peak(args.numThreads)
    runs, counts = [], []
    for _ in range(args.loopCount):
        run = _CountedRun(counters)
        runs.append(_profile.run_timed(session, run.after_step))
        counts.append(run.counts)
    seconds = np.min([[step.seconds for step in steps] for steps in runs], axis=0)
    total = float(seconds.sum()) or 1.0
    nodes = []
    for index, (step, taken) in enumerate(zip(runs[0], seconds)):
        node = {"name": step.name, "op": step.op, "shape": list(step.shape), "calls": 1, **_rates(step, taken, peak)}
        if counters is not None:
            node.update(zip(counters.names, (int(v) for v in np.median([c[index] for c in counts], axis=0))))
        nodes.append(node)
    for node in nodes:
        node["share"] = node["ms"] / total / 1e3
    report["peak_gflops"] = peak / 1e9
    report["nodes"], report["ops"] = nodes, _by_operator(nodes, peak)
    extra = counters.names if counters is not None else []
    print(f"Operators ({peak / 1e9:.1f} GFLOP/s is the measured peak of fused multiply-adds)")
    _table(report["ops"], ("op", "calls"), extra)
    print("Nodes")
    _table(nodes, ("op", "shape", "name"), extra)


class _CountedRun:
    """Reads the counters between one step and the next."""

    def __init__(self, counters: Counters | None) -> None:
        self.counts: list[list[int]] = []
        self._counters = counters
        self._last = counters.read() if counters else []

    def after_step(self) -> None:
        if self._counters is None:
            return
        now = self._counters.read()
        self.counts.append([b - a for a, b in zip(self._last, now)])
        self._last = self._counters.read()  # what this function costs is nobody's


def _rates(step: _profile.Step, seconds: float, peak: float) -> dict[str, Any]:
    rate = step.operations / seconds if seconds else 0.0
    return {
        "ms": float(seconds) * 1e3,
        "share": 0.0,
        "operations": step.operations,
        "gflops": float(rate) / 1e9,
        "of_peak": float(rate) / peak,
    }


def _by_operator(nodes: list[dict[str, Any]], peak: float) -> list[dict[str, Any]]:
    """The nodes of each operator added up, the costliest first."""
    sums: dict[str, dict[str, Any]] = {}
    for node in nodes:
        total = sums.setdefault(node["op"], {"op": node["op"]})
        for key, value in node.items():
            if isinstance(value, (int, float)) and key not in ("gflops", "of_peak"):
                total[key] = total.get(key, 0) + value
    for total in sums.values():
        rate = total["operations"] / total["ms"] * 1e3 if total["ms"] else 0.0
        total["gflops"], total["of_peak"] = rate / 1e9, rate / peak
    return sorted(sums.values(), key=lambda total: -float(total["ms"]))


def _table(rows: list[dict[str, Any]], texts: Sequence[str], counts: Sequence[str]) -> None:
    heads = ["ms", "share", "GFLOP/s", "of peak", *texts, *counts]
    lines = [heads]
    for row in rows:
        worked = row["operations"] > 0
        rates = [f"{row['gflops']:.1f}", f"{row['of_peak']:.0%}"] if worked else ["", ""]
        named = [str(row[text]) for text in texts]
        lines.append(
            [f"{row['ms']:.4f}", f"{row['share']:.1%}", *rates, *named, *(str(row[count]) for count in counts)]
        )
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    for line in lines:
        cells = [c.rjust(w) if i < 4 else c.ljust(w) for i, (c, w) in enumerate(zip(line, widths))]
        print("  " + "  ".join(cells).rstrip())


def _kernels() -> dict[str, Any]:
    tiers, names = _profile.tiers(), _profile.kernel_names()
    print("Tiers, best first; * is in use:")
    for t in tiers:
        mark = "*" if t.chosen else " "
        tiles = f"f32 {t.gemm_f32[0]}x{t.gemm_f32[1]}, int8 {t.gemm_i8[0]}x{t.gemm_i8[1]}"
        state = "" if t.available else ", not available on this CPU"
        print(f"{mark} {t.name}: {t.lanes} floats in a vector, matrix tiles {tiles}{state}")
    for t in tiers:
        print(f"Kernels of {t.name}{' (in use)' if t.chosen else ''}:")
        for name in names:
            print(f"{'*' if t.chosen else ' '} {t.name}::{name}")
    return {"tiers": [t._asdict() for t in tiers], "kernels": names}


def _write(path: str, report: dict[str, Any]) -> None:
    try:
        with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123
            json.dump(report, file, indent=1)
            file.write("\n")
    except OSError as error:
        raise ArgumentError(f"--report: {path} cannot be written: {error.strerror}") from None


if __name__ == "__main__":
    sys.exit(main())
