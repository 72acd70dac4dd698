"""Writes the measured part of docs/performance.md from the JSON files of the other commands.

    python -m benchmarks.report FILE.json ...

Files of latency, start, instructions and products, in the order in which their tables are to stand. What is above the
mark in the page is written by hand and kept; charts of fp32 and int8 go beside it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks import instructions, products, start, table
from benchmarks.peers import ROOT
from benchmarks.plot import ratio_chart

PAGE = ROOT / "docs" / "performance.md"
MARK = "<!-- Below this line: python -m benchmarks.report -->\n"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--page", type=Path, default=PAGE)
    args = parser.parse_args(arguments)
    written, mark, _ = args.page.read_text().partition(MARK)
    if not mark:
        raise SystemExit(f"{args.page} has no line {MARK.strip()}")
    sections = [section(json.loads(file.read_text()), args.page.parent) for file in args.files]
    args.page.write_text(written + MARK + "\n" + "\n\n".join(sections) + "\n")


def section(results: dict[str, Any], folder: Path) -> str:
    """One file's heading and tables; draws the chart of a latency file into ``folder``."""
    if "peak_gflops" in results:
        precision = results["precision"]
        chart = folder / f"performance_{precision}.svg"
        chart.write_text(ratio_chart(results, "1"))
        return (
            f"## Latency, {precision}\n\n{table.latency(results)}\n\n![CPU time by engine, {precision}]({chart.name})"
        )
    if "wheels" in results:
        return f"## Memory, start and size\n\n{start.table(results)}"
    if "products" in results:
        return f"## One row times a matrix on 64-bit ARM\n\n{products.table(results)}"
    heading = f"## Instructions on 64-bit ARM, {results['cpu']}, {results['precision']}"
    return f"{heading}\n\n{instructions.table(results)}"


if __name__ == "__main__":
    main()
