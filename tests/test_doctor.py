"""``lite_runtime doctor``: what it tells, what it judges, and its exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import PACKAGES

import lite_runtime
from lite_runtime import _machine, _profile, doctor
from lite_runtime.__main__ import main


def _run(*flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lite_runtime", *flags]
    return subprocess.run(command, capture_output=True, text=True, cwd=PACKAGES, env={**os.environ, **environment})


def test_everything_is_told_as_text_and_as_json() -> None:
    text, data = _run("doctor"), _run("doctor", "--json")
    assert (text.returncode, data.returncode) == (0, 0)
    report = json.loads(data.stdout)
    assert report["version"] == lite_runtime.__version__
    assert report["self_test"]["passed"] is True
    assert report["page_bytes"] == os.sysconf("SC_PAGESIZE")
    assert report["threads"] == len(os.sched_getaffinity(0))
    assert sum(group["allowed"] for group in report["cores"]) == report["threads"]
    for word in ("tier", "CPU features", "cores", "caches", "memory", "threads", "self-test    "):
        assert f"\n{word}" in text.stdout, word


@pytest.mark.parametrize("tier", [tier.name for tier in _profile.tiers() if tier.available])
def test_every_tier_computes_right_and_says_why_it_is_used(tier: str) -> None:
    report = json.loads(_run("doctor", "--json", LITE_RUNTIME_ISA=tier).stdout)
    assert (report["tier"], report["tier_reason"]) == (tier, f"LITE_RUNTIME_ISA={tier} asks for it")
    assert report["self_test"]["passed"] is True


def test_a_wish_that_cannot_be_met_is_told() -> None:
    report = json.loads(_run("doctor", "--json", LITE_RUNTIME_ISA="abacus").stdout)
    assert "LITE_RUNTIME_ISA=abacus is no tier of this build" in report["tier_reason"]


@pytest.mark.parametrize(("flags", "code"), [([], 2), (["cure"], 2), (["doctor", "--cure"], 2), (["--help"], 0)])
def test_exit_codes_of_wrong_calls(flags: list[str], code: int) -> None:
    done = _run(*flags)
    assert done.returncode == code
    assert "usage: lite_runtime" in done.stdout + done.stderr


@pytest.mark.parametrize(("name", "change"), [("float", 1.001), ("int8", 1.2)])
def test_wrong_answers_fail(
    name: str,
    change: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with np.load(doctor._CASE) as case:
        np.savez(tmp_path / "case.npz", **{**case, "y": case["y"] * change})
    monkeypatch.setattr(doctor, "_CASE", tmp_path / "case.npz")
    monkeypatch.setattr(doctor, "_TOLERANCES", {name: doctor._TOLERANCES[name]})
    assert main(["doctor"]) == 1
    assert f"FAILED: the {name} network's answer differs from ONNX Runtime's" in capsys.readouterr().out


def test_a_crash_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_verdict", lambda: os.kill(os.getpid(), signal.SIGKILL))
    result = doctor.self_test()
    assert result["passed"] is False
    assert "SIGKILL" in result["detail"]


def test_an_exception_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "_CASE", tmp_path / "none.npz")
    result = doctor.self_test()
    assert result["passed"] is False
    assert "FileNotFoundError" in result["detail"]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


def test_big_and_little_cores_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A phone's eight cores, as its kernel shows them."""
    cpus, info = tmp_path / "cpu", tmp_path / "cpuinfo"
    _write(cpus / "online", "0-7")
    parts = []
    for core in range(8):
        big = core >= 6
        _write(cpus / f"cpu{core}" / "cpufreq" / "cpuinfo_max_freq", "2200000" if big else "1800000")
        _write(cpus / f"cpu{core}" / "cpufreq" / "scaling_governor", "schedutil")
        _write(cpus / f"cpu{core}" / "cpu_capacity", "1024" if big else "381")
        parts.append(f"processor\t: {core}\nCPU implementer\t: 0x41\nCPU part\t: {'0xd0b' if big else '0xd05'}\n")
    info.write_text("\n".join(parts))
    monkeypatch.setattr(_machine, "_CPUS", cpus)
    monkeypatch.setattr(_machine, "_CPUINFO", info)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 6})
    big, little = _machine.cores()
    assert (big["kind"], big["model"], big["cores"], big["allowed"]) == ("big", "Cortex-A76", [6, 7], 1)
    assert (little["kind"], little["model"], little["cores"]) == ("little", "Cortex-A55", [0, 1, 2, 3, 4, 5])
    assert (big["max_mhz"], big["governor"], little["allowed"]) == (2200, "schedutil", 2)
    assert doctor._cores(big) == "2 big, Cortex-A76, up to 2200 MHz, schedutil, numbers 6, 7; 1 may be used"


def test_nothing_is_told_where_the_system_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_machine, "_CPUS", tmp_path)
    monkeypatch.setattr(_machine, "_CPUINFO", tmp_path / "none")
    assert _machine.caches() == []
    (group,) = _machine.cores()
    assert group == {"cores": sorted(os.sched_getaffinity(0)), "allowed": len(os.sched_getaffinity(0))}
