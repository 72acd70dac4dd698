"""Flags about models that classify pictures, which all targets with a demonstration have."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, action="append", type=Path, help="a .ms model; several times")
    parser.add_argument(
        "--ops-from", action="append", type=Path, help="a .ms model: no operators but these models'; several times"
    )
    parser.add_argument("--labels", type=Path, help="text file with the name of each class on a line of its own")
    parser.add_argument("--example", action="append", type=Path, default=[], help="a picture to bring; several times")
    parser.add_argument("--mean", type=_three, default=[0.485, 0.456, 0.406], help="of the pixels, from 0 to 1")
    parser.add_argument("--std", type=_three, default=[0.229, 0.224, 0.225], help="of the pixels")


def _three(text: str) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, 3):
        raise argparse.ArgumentTypeError(f"{text!r} is neither one number nor three with commas between")
    return values
