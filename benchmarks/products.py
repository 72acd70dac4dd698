"""Instructions for the product of one row and a constant matrix on 64-bit ARM, by the form in which weights are kept.

    python -m benchmarks.products [--cpu cortex-a72 cortex-a76] [--json FILE]

Counted as benchmarks.instructions does. What calling the model takes beside the product, found with a tiny matrix, is
taken off.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine, names
from benchmarks.arm.root import CPUS, ArmRoot, build_engine, build_plugin
from benchmarks.instructions import parse, total
from benchmarks.peers import ROOT
from benchmarks.table import markdown

SHAPES = ((384, 1536), (1024, 1024))  # of the weights: inputs, outputs
TINY = (16, 16)
FORMS: dict[str, dict[str, Any]] = {
    "float32": {},
    "8 bits": {"bit_num": 8},
    "4 bits": {"bit_num": 4},
    "4 bits, blocks of 128": {"bit_num": 4, "block_size": 128},
    "4 bits, blocks of 64": {"bit_num": 4, "block_size": 64},
    "4 bits, blocks of 32": {"bit_num": 4, "block_size": 32},
}
# Part of the largest result. What this machine computes, with which it is compared, is exact to a few 1e-7.
LARGEST_ERROR = 1e-4


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu", nargs="+", choices=tuple(CPUS), default=tuple(CPUS))
    parser.add_argument("--library", type=Path, help="this engine for aarch64; built when it is not given")
    parser.add_argument("--folder", type=Path, default=Path("build/benchmarks"), help="the ARM system is kept here")
    parser.add_argument("--json", type=Path, help="also write the counts to this file")
    args = parser.parse_args(arguments)
    folder, arm = args.folder / "products", args.folder / "arm"
    folder.mkdir(parents=True, exist_ok=True)
    arm.mkdir(parents=True, exist_ok=True)
    root, plugin = ArmRoot(arm), build_plugin(arm)
    library = args.library or build_engine(arm)
    made = {(shape, form): make(folder, shape, form) for shape in SHAPES for form in FORMS}
    made[TINY, "float32"] = make(folder, TINY, "float32")
    results: dict[str, Any] = {"machine": machine.describe(), "products": {}}
    for cpu in args.cpu:
        counts = dict(zip(made, count(list(made.values()), cpu, root, plugin, library)))
        call = counts.pop((TINY, "float32"))
        products = results["products"].setdefault(cpu, {})
        for (shape, form), found in counts.items():
            products.setdefault(f"{shape[0]} x {shape[1]}", {})[form] = found - call
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))
    print(table(results))


def make(folder: Path, shape: tuple[int, int], form: str) -> tuple[str, str]:
    """Writes the model, and its input with what this machine computes. Returns the model's path without suffix, and
    the other file's."""
    from converter.exporter import export, write
    from converter.ir.graph import Graph, Model
    from converter.quant import quantize, recipe
    from lite_runtime.types import DataType

    variant = f"{shape[0]}x{shape[1]}_{form.replace(', ', '_').replace(' ', '_')}"
    random = np.random.default_rng(1)
    graph = Graph("main")
    x = graph.add_input("x", DataType.FLOAT32, (1, shape[0]))
    weight = graph.constant("w", random.standard_normal((shape[1], shape[0]), np.float32))
    graph.outputs = [graph.add("MatMulFusion", [x, weight], "product", transpose_b=True).output]
    model = Model([graph], "product")
    if FORMS[form]:
        config = {"min_quant_weight_size": 0, "min_quant_weight_channel": 0, **FORMS[form]}
        quantize(model, recipe.from_recipe([{"algorithm": "WEIGHT_QUANT", "config": config}]))
    write(folder / f"{variant}.ms", export(model))
    inputs = {"x": random.standard_normal((1, shape[0]), np.float32)}
    examples = names.example_file(folder, variant)
    np.savez(examples, x=inputs["x"], y=_computed(folder / variant, inputs))
    return str((folder / variant).resolve()), str(examples.resolve())


def _computed(path: Path, inputs: dict[str, np.ndarray]) -> np.ndarray:
    import lite_runtime
    from benchmarks.runners.lite_runtime import LiteRuntime

    runner = LiteRuntime(lite_runtime, str(path), 1)
    runner.set_inputs(inputs)
    runner.run()
    return runner.output()


def count(models: list[tuple[str, str]], cpu: str, root: ArmRoot, plugin: Path, library: Path) -> list[int]:
    """Instructions of a run of each."""
    root.become(CPUS[cpu])
    log = root.folder / f"products.{cpu}.counts"
    log.unlink(missing_ok=True)
    options = ["-plugin", f"{plugin},out={log}", "-E", f"PYTHONPATH={ROOT}"]
    options += ["-E", f"LITE_RUNTIME_LIBRARY={library.resolve()}"]
    program = str(ROOT / "benchmarks/arm/several.py")
    command = [*root.python(CPUS[cpu], *options), program, str(ROOT), *(file for pair in models for file in pair)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    for (model, _), error in zip(models, json.loads(done.stdout)):
        if error is None or not error <= LARGEST_ERROR:
            raise SystemExit(f"{model} on {cpu} differs from what this machine computes by {error}")
    sums = [total(parse(line)) for line in log.read_text().splitlines()]
    return [after - before for before, after in zip(sums[::2], sums[1::2])]


def table(results: dict[str, Any]) -> str:
    """Thousands of instructions, in brackets their ratio to float32's."""
    parts = [f"Commit {results['machine']['commit']}, {results['machine']['date']}."]
    for cpu, products in results["products"].items():
        rows = [
            [shape, *(f"{found[form] / 1e3:.0f} ({found[form] / found['float32']:.2f})" for form in FORMS)]
            for shape, found in products.items()
        ]
        parts.append(markdown([f"thousands, {cpu}", *FORMS], rows))
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
