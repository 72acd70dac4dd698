"""Converts mutated files of one format for a while, in a process of its own (see test_importers.py).

    python importer.py FORMAT SECONDS SEED FOLDER FILE ...

The file at work is FOLDER/case.<format>, so that it is known after a crash. Prints how many cases were converted and
how many refused; anything but a ConvertError ends it with a traceback, and a case of more than a minute with SIGALRM.
"""

from __future__ import annotations

import random
import resource
import signal
import sys
import time
import warnings
from pathlib import Path

from mutate import mutated

import converter
from converter import FmkType

_MEMORY = 6 << 30
_CASE_SECONDS = 60
_FMK = {"ms": FmkType.MSLITE, "mindir": FmkType.MINDIR, "onnx": FmkType.ONNX, "tflite": FmkType.TFLITE}


def main() -> None:
    suffix, seconds, seed, folder = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    sources = [Path(name).read_bytes() for name in sys.argv[5:]]
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    warnings.simplefilter("ignore")
    rng = random.Random(seed)
    case, output = folder / f"case.{suffix}", folder / "out.ms"
    converted = refused = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        signal.alarm(_CASE_SECONDS)
        case.write_bytes(mutated(rng.choice(sources), rng))
        try:
            converter.convert(case, output, _FMK[suffix], check=False)
            converted += 1
        except converter.ConvertError as error:
            assert str(case) in str(error), f"the message does not name the file: {error}"
            refused += 1
    print(converted, refused)


if __name__ == "__main__":
    main()
