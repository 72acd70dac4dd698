"""Instructions executed for one inference on 64-bit ARM, by this engine and by its peers' wheels, under emulation.

    python -m benchmarks.instructions [--networks NAME ...] [--cpu cortex-a72] [--precision int8] [--json FILE]

Each engine runs with one thread as the given CPU in qemu-aarch64, in a Debian system that is made below --folder. A
plugin counts; the count is the difference between two runs of the model in one process, so loading is not in it, and
it is the same whatever else the machine does. Emulated time means nothing and is not measured. Needs qemu-user,
mmdebstrap and g++-aarch64-linux-gnu. The models are those of benchmarks.latency.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import machine, names
from benchmarks.arm.root import CPUS, ArmRoot, build_engine, build_plugin
from benchmarks.latency import add_common, make_models
from benchmarks.operations import gflop
from benchmarks.peers import BY_NAME, OURS, ROOT, WORKER, Engine, Pythons
from benchmarks.ratios import LARGEST_ERROR
from benchmarks.table import bars, markdown

NETWORKS = ("mobilenetv2", "squeezenet1_1", "resnet50", "minilm")
ENGINES = (OURS, "ncnn", "mnn", "litert", "tflite_runtime", "onnxruntime")
SIMD_ARITHMETIC = ("fmla", "dot", "simd")
FMLA_SHARE = 0.60
# Multiply-adds that one instruction does on vectors of 16 bytes.
MULTIPLY_ADDS = {"fp32": 4, "int8": 16}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=tuple(names.TITLES), default=NETWORKS)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--cpu", choices=tuple(CPUS), default="cortex-a72")
    parser.add_argument("--precision", choices=("fp32", "int8"), default="fp32")
    parser.add_argument("--library", type=Path, help="this engine for aarch64; built when it is not given")
    add_common(parser)
    parser.add_argument("--json", type=Path, help="also write the counts to this file, adding to those in it")
    args = parser.parse_args(arguments)
    results = _earlier(args)
    arm = args.folder / "arm"
    arm.mkdir(parents=True, exist_ok=True)
    root, plugin = ArmRoot(arm), build_plugin(arm)
    library = args.library or (build_engine(arm) if OURS in args.engines else None)
    root.become(CPUS[args.cpu])
    for network in args.networks:
        variant = network + (names.INT8 if args.precision == "int8" else "")
        chosen = [BY_NAME[name] for name in args.engines]
        engines = [engine for engine in chosen if engine.int8 or args.precision == "fp32"]
        left_out = make_models(variant, engines, args.folder, Pythons(args.python))
        found = results["networks"].setdefault(variant, {"engines": {}, "left_out": {}})
        found["gflop"] = gflop(args.folder / f"{network}.onnx")
        for engine in engines:
            reason, counts = left_out.get(engine.name, ""), dict[str, int]()
            if not reason:
                reason, counts = count(engine, variant, args, root, plugin, library)
            found["engines"].pop(engine.name, None)
            found["left_out"].pop(engine.name, None)
            found["left_out" if reason else "engines"][engine.name] = reason or counts
            print(f"{variant}, {engine.title}: {reason or total(counts)}", file=sys.stderr)
            if args.json:
                args.json.write_text(json.dumps(results, indent=1))
    print(table(results))


def _earlier(args: argparse.Namespace) -> dict[str, Any]:
    """The results to add to. Peers' counts never change, so a new build need not count them again."""
    results: dict[str, Any] = {"networks": {}}
    if args.json and args.json.exists():
        results = json.loads(args.json.read_text())
        if (results["cpu"], results["precision"]) != (args.cpu, args.precision):
            raise SystemExit(f"{args.json} has counts of {results['cpu']} in {results['precision']}: name another file")
    return {**results, "cpu": args.cpu, "precision": args.precision, "machine": machine.describe()}


def count(
    engine: Engine, variant: str, args: argparse.Namespace, root: ArmRoot, plugin: Path, library: Path | None
) -> tuple[str, dict[str, int]]:
    """Why it could not be counted, or the instructions of one inference by class."""
    packages = ROOT if engine.name == OURS else root.install(engine)
    log = root.folder / f"{variant}.{engine.name}.{args.cpu}.counts"
    log.unlink(missing_ok=True)
    options = ["-plugin", f"{plugin},out={log}", "-E", f"PYTHONPATH={packages}"]
    if library is not None and engine.name == OURS:
        options += ["-E", f"LITE_RUNTIME_LIBRARY={library.resolve()}"]
    folder = args.folder.resolve()
    command = [*root.python(CPUS[args.cpu], *options), str(WORKER), str(ROOT), engine.runner, str(folder / variant)]
    command += [str(names.example_file(folder, variant)), "1", "count", "2"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        return f"does not run: {(done.stderr.strip().splitlines() or ['no message'])[-1]}", {}
    hello = json.loads(done.stdout.splitlines()[-1])
    if hello["error"] is None or not hello["error"] <= LARGEST_ERROR[args.precision]:
        return f"differs from PyTorch by {hello['error']}", {}
    before, after = (parse(line) for line in log.read_text().splitlines()[-2:])
    return "", {kind: after[kind] - before[kind] for kind in after}


def parse(line: str) -> dict[str, int]:
    return {kind: int(value) for kind, value in (field.split("=") for field in line.split())}


def total(counts: dict[str, int]) -> int:
    return sum(counts.values())


def table(results: dict[str, Any]) -> str:
    """Millions of instructions, and the bars that are missed."""
    engines = [name for name in ENGINES if any(name in found["engines"] for found in results["networks"].values())]
    heads = [f"millions, {results['cpu']}, {results['precision']}", *(BY_NAME[name].title for name in engines)]
    heads += ["ratio", "of the least possible", "fmla + dot of SIMD arithmetic"]
    rows = []
    for variant, found in results["networks"].items():
        best = best_rival(found)
        cells = [_cell(found, name, best) for name in engines]
        rows.append([names.title(variant), *cells, *_rates(found, best, results["precision"])])
    reasons = [
        f"- {names.title(variant)}: {BY_NAME[name].title} {reason}"
        for variant, found in results["networks"].items()
        for name, reason in found["left_out"].items()
    ]
    parts = [f"Commit {results['machine']['commit']}, {results['machine']['date']}.", markdown(heads, rows)]
    if reasons:
        parts.append("Left out:\n\n" + "\n".join(reasons))
    if any(OURS in found["engines"] for found in results["networks"].values()):
        parts.append(bars(missed(results)))
    return "\n\n".join(parts)


def best_rival(found: dict[str, Any]) -> str | None:
    rivals = [name for name in found["engines"] if name != OURS]
    return min(rivals, key=lambda name: total(found["engines"][name]), default=None)


def _cell(found: dict[str, Any], name: str, best: str | None) -> str:
    if name not in found["engines"]:
        return "–"
    text = f"{total(found['engines'][name]) / 1e6:.1f}"
    return f"**{text}**" if name == best else text


def _rates(found: dict[str, Any], best: str | None, precision: str) -> list[str]:
    """Of this engine: its count over the best peer's, over the least that the formulas allow, and its share of fmla."""
    ours = found["engines"].get(OURS)
    if ours is None:
        return ["", "", ""]
    least = found["gflop"] * 1e9 / 2 / MULTIPLY_ADDS[precision]
    ratio = "" if best is None else f"{total(ours) / total(found['engines'][best]):.2f}"
    return [ratio, f"{total(ours) / least:.2f}", f"{fmla_share(ours):.0%}"]


def fmla_share(counts: dict[str, int]) -> float:
    return (counts["fmla"] + counts["dot"]) / sum(counts[kind] for kind in SIMD_ARITHMETIC)


def missed(results: dict[str, Any]) -> list[str]:
    sentences = []
    for variant, found in results["networks"].items():
        ours, best = found["engines"].get(OURS), best_rival(found)
        if ours is None:
            continue
        if best is not None and total(ours) > total(found["engines"][best]):
            ratio = total(ours) / total(found["engines"][best])
            sentences.append(f"{names.title(variant)}: {ratio:.2f} of {BY_NAME[best].title}'s count, bar 1.00")
        if variant == "resnet50" and fmla_share(ours) < FMLA_SHARE:
            sentences.append(f"ResNet-50: fmla are {fmla_share(ours):.0%} of SIMD arithmetic, bar {FMLA_SHARE:.0%}")
    return sentences


if __name__ == "__main__":
    main()
