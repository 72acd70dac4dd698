"""Runs a .ms file in MindSpore Lite 2.0.0, in the Python that has it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
from support import mindspore_lite_python

_RUNNER = Path(__file__).with_name("mindspore_lite_runner.py")


def run(model: Path, inputs: list[np.ndarray], folder: Path) -> list[np.ndarray]:
    """The model's outputs in MindSpore Lite, for inputs in the model's own layout."""
    feeds, results = folder / "inputs.npz", folder / "outputs.npz"
    np.savez(feeds, **{f"in{i}": value for i, value in enumerate(inputs)})
    python = mindspore_lite_python()
    assert python is not None
    done = subprocess.run([python, _RUNNER, model, feeds, results], capture_output=True, text=True)
    # Its log has one line per caller; the first says what went wrong.
    log = [line for line in (done.stdout + done.stderr).splitlines() if "[ERROR]" in line]
    assert done.returncode == 0, log[0] if log else done.stderr
    with np.load(results) as arrays:
        return [arrays[f"out{i}"] for i in range(len(arrays["names"]))]
