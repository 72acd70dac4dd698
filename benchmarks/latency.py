"""Latency of this engine and of every peer that is installed, side by side in one run.

    python -m benchmarks.latency [--precision int8] [--networks NAME ...] [--threads 1 2] [--json FILE] [--plot FILE]

Builds the networks, converts them for every engine (what exists in --folder is kept), runs all engines in turn, each
in its own process, checks their outputs against PyTorch's, and prints the tables. What is not installed is named and
left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import machine, names, table
from benchmarks.operations import gflop, peak_gflops
from benchmarks.peers import BY_NAME, ENGINES, ONNX, OURS, Engine, Pythons, missing, prepare, versions
from benchmarks.plot import ratio_chart
from benchmarks.process import Worker, interleave
from benchmarks.ratios import LARGEST_ERROR, summary


def main(arguments: list[str] | None = None) -> None:
    args = _parser().parse_args(arguments)
    args.folder.mkdir(parents=True, exist_ok=True)
    pythons = Pythons(args.python)
    chosen = [BY_NAME[name] for name in args.engines]
    engines = installed([engine for engine in chosen if engine.int8 or args.precision == "fp32"], pythons)
    results: dict[str, Any] = {
        "precision": args.precision,
        "machine": machine.describe(),
        "versions": versions(engines, pythons),
        "rounds": args.rounds,
        "peak_gflops": {str(count): peak_gflops(pythons.to_run(BY_NAME[OURS]), count) for count in args.threads},
        "networks": {},
    }
    default = names.INT8_NETWORKS if args.precision == "int8" else names.FLOAT_NETWORKS
    for network in args.networks or default:
        variant = network + (names.INT8 if args.precision == "int8" else "")
        results["networks"][variant] = measure(variant, engines, pythons, args)
        if args.json:
            args.json.write_text(json.dumps(results, indent=1))
    print(table.latency(results))
    if args.plot:
        args.plot.write_text(ratio_chart(results, str(args.threads[0])))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=("fp32", "int8"), default="fp32")
    parser.add_argument("--networks", nargs="+", choices=tuple(names.TITLES), help="default: all of the precision")
    everyone = [engine.name for engine in ENGINES if engine.name != "tflite_runtime"]
    parser.add_argument("--engines", nargs="+", choices=tuple(BY_NAME), default=everyone)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=8, help="turns of each engine, of about 0.2 s")
    add_common(parser)
    parser.add_argument("--json", type=Path, help="also write the measurements to this file")
    parser.add_argument("--plot", type=Path, help="write a chart of the ratios to this SVG file")
    return parser


def add_common(parser: argparse.ArgumentParser) -> None:
    """Where models are, and which Python runs what."""
    parser.add_argument("--folder", type=Path, default=Path("build/benchmarks"), help="models are kept here")
    parser.add_argument(
        "--python", action="append", default=[], metavar="ENGINE=PATH",
        help="another Python for one engine, or with ENGINE.convert=PATH for its converter alone",
    )  # fmt: skip


def installed(engines: list[Engine], pythons: Pythons) -> list[Engine]:
    """Those that can run here; the others are named."""
    found = []
    for engine in engines:
        absent = missing(pythons.to_run(engine), engine.modules)
        if absent:
            print(f"{engine.title} is left out: {absent} is not installed", file=sys.stderr)
        else:
            found.append(engine)
    return found


def make_models(variant: str, engines: list[Engine], folder: Path, pythons: Pythons) -> dict[str, str]:
    """Makes the files of every engine. Returns why an engine has none."""
    network = names.network_of(variant)
    for source in (network, variant):
        reason = prepare(ONNX, source, folder, pythons) if source == network else _quantized(source, folder, pythons)
        if reason:
            raise SystemExit(f"{source}.onnx {reason}")
    reasons = {}
    for engine in engines:
        reason = prepare(engine, network, folder, pythons) if engine.converter == "litert" else ""
        reason = reason or prepare(engine, variant, folder, pythons)
        if reason:
            reasons[engine.name] = reason
    return reasons


def _quantized(variant: str, folder: Path, pythons: Pythons) -> str:
    return prepare(BY_NAME["onnxruntime"], variant, folder, pythons)


def measure(variant: str, engines: list[Engine], pythons: Pythons, args: argparse.Namespace) -> dict[str, Any]:
    """One network with every number of threads."""
    left_out = make_models(variant, engines, args.folder, pythons)
    ready = [engine for engine in engines if engine.name not in left_out]
    result: dict[str, Any] = {
        "gflop": gflop(args.folder / f"{names.network_of(variant)}.onnx"),
        "left_out": left_out,
        "threads": {},
    }
    for count in args.threads:
        workers = _start(variant, ready, pythons, count, args, left_out)
        try:
            interleave(workers, args.rounds)
        finally:
            for worker in workers:
                worker.close()
        result["threads"][str(count)] = {worker.engine.name: _measured(worker) for worker in workers}
        print(f"{variant}, {count} thread(s): measured", file=sys.stderr)
    return result


def _start(
    variant: str, engines: list[Engine], pythons: Pythons, threads: int, args: argparse.Namespace,
    left_out: dict[str, str],
) -> list[Worker]:  # fmt: skip
    """A worker for each engine that runs the network and agrees with PyTorch."""
    workers = []
    for engine in engines:
        try:
            worker = Worker(engine, pythons.to_run(engine), args.folder, variant, threads)
        except ChildProcessError as error:
            left_out[engine.name] = f"cannot run it: {error}"
            continue
        difference = worker.hello["error"]
        if difference is None or not difference <= LARGEST_ERROR[args.precision]:
            worker.close()
            left_out[engine.name] = f"differs from PyTorch by {difference}"
            continue
        worker.pause()
        workers.append(worker)
    return workers


def _measured(worker: Worker) -> dict[str, Any]:
    times = worker.times
    return {
        "error": worker.hello["error"],
        "runs": len(times.wall),
        "wall": summary(times.wall),
        "cpu": summary(times.cpu),
    }


if __name__ == "__main__":
    main()
