"""What an engine costs before and beside its work: size, import, load, first run and memory, for one network.

    python -m benchmarks.start [--network mobilenetv2] [--wheels DIR] [--json FILE]

Every measurement is a new process with one thread: the least of --repeats for times (CPU time, so that other work on
the machine does not count), the median for memory. Import is counted over a process that has imported NumPy, memory
over the peak of one that does nothing else. --wheels names a folder of wheels, of this project and of its peers,
whose sizes are listed too.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import zipfile
from pathlib import Path
from typing import Any

from benchmarks import machine, names
from benchmarks.latency import add_common, installed, make_models
from benchmarks.peers import BY_NAME, ENGINES, NO_ENGINE, OURS, Engine, Pythons, versions
from benchmarks.process import Worker
from benchmarks.table import bars, markdown

MEGABYTE = 1e6
STEPS = ("import", "load", "first")
IMPORT_MS, START_MS, MEMORY_MB, LIBRARY_MB, WHEEL_MB = 15, 60, 25, 1.0, 1.0
IDLE_SECONDS = 2.0


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=tuple(names.TITLES), default="mobilenetv2")
    parser.add_argument("--engines", nargs="+", choices=tuple(BY_NAME), default=[engine.name for engine in ENGINES])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--wheels", type=Path, help="folder of wheels to measure")
    add_common(parser)
    parser.add_argument("--json", type=Path, help="also write the measurements to this file")
    args = parser.parse_args(arguments)
    results = measure(args)
    print(table(results))
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))


def measure(args: argparse.Namespace) -> dict[str, Any]:
    args.folder.mkdir(parents=True, exist_ok=True)
    pythons = Pythons(args.python)
    engines = installed([BY_NAME[name] for name in args.engines], pythons)
    left_out = make_models(args.network, engines, args.folder, pythons)
    measured = {}
    for engine in engines:
        if engine.name not in left_out:
            measured[engine.name] = _start(engine, pythons.to_run(engine), args)
    return {
        "machine": machine.describe(),
        "versions": versions(engines, pythons),
        "network": args.network,
        "repeats": args.repeats,
        "engines": measured,
        "idle": idle_cpu(BY_NAME[OURS], pythons, args) if OURS in measured else None,
        "wheels": [wheel(path) for path in sorted(args.wheels.glob("*.whl"))] if args.wheels else [],
    }


def _start(engine: Engine, python: str, args: argparse.Namespace) -> dict[str, float]:
    """Milliseconds of each step and the peak over bare NumPy, in MB of 10⁶ bytes."""
    runs: list[dict[str, Any]] = []
    bare: list[dict[str, Any]] = []
    for _ in range(args.repeats):
        for kind, hellos in ((engine, runs), (NO_ENGINE, bare)):
            worker = Worker(kind, python, args.folder, args.network, 1)
            worker.close()
            hellos.append(worker.hello)
    found = {step: min(hello[step]["cpu"] for hello in runs) * 1e3 for step in STEPS}
    peak, floor = (statistics.median(hello["peak"] for hello in hellos) for hellos in (runs, bare))
    return {**found, "memory": (peak - floor) / MEGABYTE, "numpy": floor / MEGABYTE}


def idle_cpu(engine: Engine, pythons: Pythons, args: argparse.Namespace) -> float:
    """CPU seconds that a session of two threads takes in a second after its runs, while it has nothing to do."""
    worker = Worker(engine, pythons.to_run(engine), args.folder, args.network, 2)
    try:
        worker.run(3)
        time.sleep(0.2)
        start = worker.cpu_seconds()
        time.sleep(IDLE_SECONDS)
        return (worker.cpu_seconds() - start) / IDLE_SECONDS
    finally:
        worker.close()


def wheel(path: Path) -> dict[str, Any]:
    """Size of a wheel, of all it installs, and of the libraries in it, in MB."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    libraries = [entry.file_size for entry in entries if ".so" in Path(entry.filename).name]
    return {
        "name": "-".join(path.name.split("-")[:2]),
        "platform": path.stem.split("-")[-1].split(".")[0],
        "wheel": path.stat().st_size / MEGABYTE,
        "installed": sum(entry.file_size for entry in entries) / MEGABYTE,
        "libraries": sum(libraries) / MEGABYTE,
    }


def table(results: dict[str, Any]) -> str:
    """Everything as Markdown, with the bars that are missed."""
    heads = ["CPU ms", "import", "load", "first run", "load + first run", "peak MB over NumPy"]
    rows = [
        [BY_NAME[name].title, *(f"{engine[step]:.1f}" for step in STEPS), f"{engine['load'] + engine['first']:.1f}",
         f"{engine['memory']:.1f}"]
        for name, engine in results["engines"].items()
    ]  # fmt: skip
    host = results["machine"]
    parts = [
        f"{host['cpu']}, {host['system']}, Python {host['python']}; commit {host['commit']}, {host['date']}. "
        f"{names.title(results['network'])} in fp32, 1 thread, {results['repeats']} processes each.",
        markdown(heads, rows),
    ]
    if results["idle"] is not None:
        parts.append(f"A session of two threads that waits takes {results['idle']:.2%} of a core.")
    if results["wheels"]:
        heads = ["MB", "platform", "wheel", "installed", "libraries"]
        rows = [[w["name"], w["platform"], *(f"{w[k]:.2f}" for k in heads[2:])] for w in results["wheels"]]
        parts.append(markdown(heads, rows))
    return "\n\n".join([*parts, bars(missed(results))])


def missed(results: dict[str, Any]) -> list[str]:
    limits: list[tuple[str, float, float, str]] = []
    if OURS in results["engines"]:
        ours = results["engines"][OURS]
        limits += [
            ("import", ours["import"], IMPORT_MS, "ms"),
            ("load and first run", ours["load"] + ours["first"], START_MS, "ms"),
            ("peak memory over NumPy", ours["memory"], MEMORY_MB, "MB"),
        ]
    for found in results["wheels"]:
        if found["name"].startswith(OURS):
            limits.append((f"wheel for {found['platform']}", found["wheel"], WHEEL_MB, "MB"))
            limits.append((f"library for {found['platform']}", found["libraries"], LIBRARY_MB, "MB"))
    return [f"{what}: {value:.2f} {unit}, bar {limit} {unit}" for what, value, limit, unit in limits if value > limit]


if __name__ == "__main__":
    main()
