"""What the tests of the MindIR importer share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from support import DATA, OPTIONS, channels_last, run_ms

from converter.exporter import export, write
from converter.importers.mindir import load
from converter.ir.graph import Model
from converter.passes import optimize

# The key of the encrypted models, see data/README.md.
KEY = "0123456789ABCDEF"


def find(name: str) -> Path:
    """A model of the test data, such as "v1/cnn"."""
    folder, _, stem = name.partition("/")
    return DATA / f"mindir_{folder}" / f"{stem}.mindir"


def read(path: Path) -> Model:
    """Imports a model, decrypting the ones that need it."""
    return load(path, **OPTIONS.get(path.stem, {}))


def convert(model: Model, level: str, folder: Path) -> Path:
    """Optimises and exports an imported model."""
    optimize(model, level=level)
    path = folder / "model.ms"
    write(path, export(model))
    return path


def convert_and_run(model: Model, level: str, inputs: list[np.ndarray], folder: Path) -> list[np.ndarray]:
    """The answers of a converted model, for inputs in the source's layout."""
    return run_ms(convert(model, level, folder), channels_last(inputs))
