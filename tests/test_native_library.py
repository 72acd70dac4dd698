"""The library beneath the Python front: its bindings, how it is found, models and sessions."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from runtime_models import CNN, sum_model
from support import DATA, ROOT, assert_close, channels_last, recorded

import lite_runtime as mslite
from lite_runtime import _native, _profile
from lite_runtime.errors import BY_STATUS


def test_every_status_has_an_error_class() -> None:
    header = (ROOT / "lite_runtime" / "core" / "include" / "lite_runtime.h").read_text()
    assert {int(n) for n in re.findall(r"LR_ERROR_\w+ = (\d+)", header)} == set(BY_STATUS)


def test_bindings_follow_the_header() -> None:
    header = (ROOT / "lite_runtime" / "core" / "include" / "lite_runtime.h").read_text()
    header = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    declared = {
        name: len([a for a in arguments.split(",") if a.strip() not in ("", "void")])
        for name, arguments in re.findall(r"^LR_API [^;]*?\b(lr_\w+)\(([^)]*)\);", header, re.MULTILINE | re.DOTALL)
    }
    signatures = {**_native._SIGNATURES, **_profile._SIGNATURES}
    assert declared == {name: len(arguments) for name, (_, arguments) in signatures.items()}


def test_one_version_everywhere() -> None:
    assert f'version = "{mslite.__version__}"' in (ROOT / "pyproject.toml").read_text()
    assert f"VERSION {mslite.__version__} " in (ROOT / "CMakeLists.txt").read_text()


def test_a_missing_library_is_an_import_error_that_helps() -> None:
    code = "import lite_runtime"
    environment = {"LITE_RUNTIME_LIBRARY": "/nowhere/lib.so", "PYTHONPATH": str(Path(mslite.__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: cannot load the engine /nowhere/lib.so: ")
    assert "LITE_RUNTIME_LIBRARY" in last


def test_another_library_is_an_import_error() -> None:
    import ctypes.util

    environment = {
        "LITE_RUNTIME_LIBRARY": ctypes.util.find_library("c") or "libc.so.6",
        "PYTHONPATH": str(Path(mslite.__file__).parent.parent),
    }
    done = subprocess.run(
        [sys.executable, "-c", "import lite_runtime"], capture_output=True, text=True, env=environment
    )
    assert "is not the engine of lite_runtime" in done.stderr.splitlines()[-1]


def test_import_needs_numpy_and_little_else() -> None:
    code = "import numpy, sys; before = set(sys.modules); import lite_runtime; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    outside = {name.split(".")[0] for name in done.stdout.split()} - {"lite_runtime"}
    if sys.version_info >= (3, 10):
        assert outside <= set(sys.stdlib_module_names)
    assert not outside & {"pathlib", "json", "dataclasses", "inspect", "typing_extensions", "concurrent"}


def test_observed_run_sees_every_node_and_may_stop() -> None:
    session = _native.Session(_native.Model.from_buffer(sum_model((1, 3))))
    x = np.ones((1, 3), np.float32)
    session.set_input(0, x)
    session.set_input(1, x)
    seen: list[tuple[int, str, str, list[list[float]], bool]] = []
    session.run_observed(lambda i, name, op, values, s: seen.append((i, name, op, values[0].tolist(), s >= 0)))
    assert seen == [(0, "y", "AddFusion", [[2, 2, 2]], True)]

    def stop(*_: object) -> None:
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        session.run_observed(stop)
    session.run()
    assert session.output_value(0).tolist() == [[2, 2, 2]]


def test_sessions_share_a_model_and_outlive_it() -> None:
    inputs, (expected,) = recorded(DATA / "mindir_v1" / "cnn.npz")
    (x,) = channels_last(inputs)
    model = _native.Model.from_file(CNN)
    sessions = [_native.Session(model, threads=n) for n in (1, 2)]
    del model
    for session in sessions:
        session.set_input(0, x)
        session.run()
    assert_close(sessions[0].output_value(0), expected)
    assert_close(sessions[1].output_value(0), expected)


def test_infer_only_sessions_know_shapes_and_do_not_run() -> None:
    session = _native.Session(_native.Model.from_file(CNN), infer_only=True)
    shapes = [info.shape for info in session.tensors()]
    assert None not in shapes
    with pytest.raises(mslite.LiteRuntimeError):
        session.run()


def test_outputs_before_the_first_run() -> None:
    session = _native.Session(_native.Model.from_buffer(sum_model()))
    with pytest.raises(mslite.LiteRuntimeError):
        session.output_value(0)
    with pytest.raises(mslite.LiteRuntimeError):
        session.run()
    with pytest.raises(mslite.ArgumentError, match="input 7 does not exist"):
        session.set_input(7, np.zeros(3, np.float32))
