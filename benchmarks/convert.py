"""convert.py FOLDER_OF_THE_REPOSITORY CONVERTER VARIANT FOLDER: one conversion, in the Python that can do it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def main(root: str, converter: str, variant: str, folder: str) -> None:
    sys.path[:1] = []
    sys.path.append(root)  # behind the installed packages, of which this project may be one
    importlib.import_module("benchmarks.converters." + converter).convert(variant, Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
