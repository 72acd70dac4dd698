"""The neural-network operators on the other instruction-set tiers of this machine, each in a process of its own."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

FAMILIES = ("conv", "matmul", "pool", "norm", "activation", "resize", "rnn", "stored_rnn")
TIERS = ("scalar", "sse2") if platform.machine() in ("x86_64", "AMD64") else ("scalar",)


@pytest.mark.parametrize("tier", TIERS)
def test_operators_on_tier(tier: str) -> None:
    here = Path(__file__).parent
    files = [str(here / f"test_{family}.py") for family in FAMILIES]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    environment = {**os.environ, "LITE_RUNTIME_ISA": tier}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=here.parent.parent)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
