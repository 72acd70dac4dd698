"""What a conversion did, for people and for programs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from converter.errors import ConvertError, UnsupportedError


@dataclass(frozen=True)
class TensorSummary:
    """An input or output of the written model. ``shape`` has -1 for open dimensions and is None when unknown."""

    name: str
    dtype: str
    shape: list[int] | None


@dataclass
class Report:
    """Result of a successful conversion.

    Attributes:
        source, output: the files.
        fmk: name of the source format.
        inputs, outputs: of the written model.
        nodes_before: operators as the importer made them, sub-graphs included.
        nodes_after: operators in the written model.
        bytes_before: size of the source file and the weight files beside it.
        bytes_after: size of the written file.
        seconds: of the whole conversion.
        stages: seconds of each stage.
        passes: what each optimisation pass did.
        check: what the comparison with an independent witness found; empty when there was none.
        notes: everything the user should know, such as constants that stayed float32.
        quantization: what quantising cost (``converter.quant.cost.Cost.as_dict``); empty where nothing was quantised.
    """

    source: str
    output: str
    fmk: str
    inputs: list[TensorSummary] = field(default_factory=list)
    outputs: list[TensorSummary] = field(default_factory=list)
    nodes_before: int = 0
    nodes_after: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    passes: list[dict[str, Any]] = field(default_factory=list)
    check: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    quantization: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {"result": "success", **asdict(self)}

    def __str__(self) -> str:
        lines = [
            f"{self.source} ({self.fmk}) -> {self.output}: "
            f"{self.nodes_before} -> {self.nodes_after} nodes, "
            f"{readable_size(self.bytes_before)} -> {readable_size(self.bytes_after)}, {self.seconds:.2f} s"
        ]
        if self.check:
            worst = max(output["max_error"] for output in self.check["outputs"])
            lines.append(f"checked against {self.check['witness']} on {self.check['data']}: error {worst:.1e}")
        return "\n".join(lines + [f"note: {note}" for note in self.notes] + _worst_layers(self.quantization))


def _worst_layers(quantization: dict[str, Any], count: int = 10) -> list[str]:
    """A table of the layers with the least SNR, and the model's results."""
    if not quantization:
        return []
    measured = [layer for layer in quantization["layers"] if layer["snr"] is not None]
    worst = sorted(measured, key=lambda layer: layer["snr"])[:count]
    if not worst:
        return []
    totals = quantization["totals"]
    row = "{:>8}  {:>9}  {:>9}  {:>7}  {}".format
    lines = [
        f"quantised: {readable_size(totals['bytes_before'])} -> {readable_size(totals['bytes_after'])} of constants, "
        f"{totals['int8_part']:.1%} of the multiply-adds in int8, "
        f"{1e3 * totals['seconds_before']:.2f} -> {1e3 * totals['seconds_after']:.2f} ms on one thread",
        f"the layers with the largest errors, on {quantization['data']}:",
        row("SNR dB", "cosine", "max error", "kind", "layer"),
    ]
    for layer in [*worst, *(o for o in quantization["outputs"] if o["snr"] is not None)]:
        kind = "output" if layer["op"] == "output" else layer["kind"]
        name = f"{layer['op']} {layer['name']}" if kind != "output" else layer["name"]
        lines.append(row(f"{layer['snr']:.1f}", f"{layer['cosine']:.6f}", f"{layer['max_error']:.3g}", kind, name))
    return lines


def failure(source: str, error: ConvertError) -> dict[str, Any]:
    """What ``--report`` holds when a conversion fails."""
    problems = [problem.as_dict() for problem in error.problems] if isinstance(error, UnsupportedError) else []
    return {
        "result": "failure",
        "source": source,
        "kind": type(error).__name__,
        "exit_code": error.exit_code,
        "message": str(error),
        "problems": problems,
    }


def to_json(report: dict[str, Any]) -> str:
    return json.dumps(report, indent=2, ensure_ascii=False) + "\n"


def readable_size(size: int) -> str:
    if size < 1000:
        return f"{size} B"
    for unit in ("kB", "MB"):
        if size < 999_500 * (1 if unit == "kB" else 1000):
            return f"{size / (1000 if unit == 'kB' else 1_000_000):.1f} {unit}"
    return f"{size / 1_000_000_000:.2f} GB"
