"""Runs models with an installed lite_runtime: ``python on_device.py FOLDER OUT``, with NumPy alone.

FOLDER holds NAME.ms and NAME.npy, its input; NAME.npy is written to OUT, and what doctor found to doctor.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

import lite_runtime
from lite_runtime import doctor


def main(folder: Path, out: Path) -> None:
    for model in sorted(folder.glob("*.ms")):
        run = lite_runtime.load(str(model), threads=2)
        np.save(out / f"{model.stem}.npy", run(np.load(model.with_suffix(".npy"))))
    (out / "doctor.json").write_text(json.dumps(doctor.examine()))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
