"""The text recogniser PP-OCRv6 (small), out of rapidocr: its inputs, and what its outputs say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from benchmarks.quantization.packages import fetch
from benchmarks.quantization.text_lines import HEIGHT, Line

_PACKAGE, _FILE = "rapidocr==3.10.0", "rapidocr/models/PP-OCRv6_rec_small.onnx"
_LEAST_WIDTH = 320


def model(folder: Path) -> Path:
    """The ONNX file, fetched into ``folder``."""
    return fetch(_PACKAGE, folder) / _FILE


def characters(path: Path) -> list[str]:
    """The character of each class but the first, which stands for none."""
    (text,) = (entry.value for entry in onnx.load(path).metadata_props if entry.key == "character")
    return [*text.splitlines(), " "]


def network_input(line: Line) -> np.ndarray:
    """float32 [1, 3, 48, width], -1 to 1; padded to 320 columns as the recogniser's own program does."""
    x = line.pixels.astype(np.float32) / 127.5 - 1
    padded = np.zeros((1, 3, HEIGHT, max(_LEAST_WIDTH, x.shape[1])), np.float32)
    padded[0, :, :, : x.shape[1]] = x.transpose(2, 0, 1)
    return padded


def decode(scores: np.ndarray, names: Sequence[str]) -> str:
    """The text of scores [1, steps, classes]: the best class of each step, repetitions and "none" left out."""
    best = scores[0].argmax(axis=1)
    kept = best[np.flatnonzero(np.diff(best, prepend=-1))]
    return "".join(names[i - 1] for i in kept if i > 0)


@dataclass(frozen=True)
class Score:
    """Parts of 1: lines read without any error, and edits needed per character."""

    exact: float
    errors: float


def score(run: Callable[[np.ndarray], np.ndarray], lines: Sequence[Line], names: Sequence[str]) -> Score:
    found = [decode(run(network_input(line)), names) for line in lines]
    edits = sum(_distance(a, line.text) for a, line in zip(found, lines))
    exact = sum(a == line.text for a, line in zip(found, lines))
    return Score(exact / len(lines), edits / sum(len(line.text) for line in lines))


def _distance(a: str, b: str) -> int:
    """Insertions, deletions and replacements that turn one into the other."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]
