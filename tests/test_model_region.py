"""Models inside a larger file, as the assets of an Android package are, loaded through an open descriptor."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support import DATA, assert_close, channels_last, recorded

import lite_runtime
from lite_runtime import _native

MODEL = DATA / "ms" / "cnn.ms"
BYTES = MODEL.read_bytes()
BEHIND = b"behind" * 50


@pytest.fixture
def package(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[int]:
    """A descriptor of a file that holds the model at offset ``request.param``, with other bytes around it."""
    path = tmp_path / "package"
    path.write_bytes(os.urandom(request.param) + BYTES + BEHIND)
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


# In place at multiples of 8, whatever the page; copied elsewhere.
@pytest.mark.parametrize(
    ("package", "offset"), [(n, n) for n in (0, 8, 4, 1, 4096, 4104, 65536 + 24, 12289)], indirect=["package"]
)
def test_a_region_gives_the_answer_of_the_file(package: int, offset: int) -> None:
    (x,), (expected,) = recorded(DATA / "mindir_v1" / "cnn.npz")
    model = _native.Model.from_descriptor(os.dup(package), offset, len(BYTES))
    sessions = [_native.Session(model, threads=1) for _ in range(2)]
    for session in sessions:
        session.set_input(0, channels_last([x])[0])
        session.run()
        assert_close(session.output_value(0), expected)


@pytest.mark.parametrize("package", [0], indirect=True)
def test_the_model_outlives_the_descriptor(tmp_path: Path, package: int) -> None:
    (x,), (expected,) = recorded(DATA / "mindir_v1" / "cnn.npz")
    descriptor = os.open(MODEL, os.O_RDONLY)
    model = _native.Model.from_descriptor(descriptor)
    os.close(descriptor)
    session = _native.Session(model, threads=1)
    session.set_input(0, channels_last([x])[0])
    session.run()
    assert_close(session.output_value(0), expected)


SIZE = 16 + len(BYTES) + len(BEHIND)


@pytest.mark.parametrize("package", [16], indirect=True)
@pytest.mark.parametrize(
    ("offset", "length", "error", "words"),
    [
        (-1, 10, lite_runtime.ArgumentError, "offset -1 is not inside the file"),
        (SIZE + 1, -1, lite_runtime.ArgumentError, f"offset {SIZE + 1} is not inside the file of {SIZE} bytes"),
        (2**62, 2**62, lite_runtime.ArgumentError, "is not inside the file"),
        (16, SIZE, lite_runtime.ArgumentError, f"length {SIZE} is not within the {SIZE - 16} bytes behind offset 16"),
        (16, 2**63 - 1, lite_runtime.ArgumentError, "is not within"),
        (16, -2, lite_runtime.ArgumentError, "length -2"),
        (SIZE, -1, lite_runtime.ModelFormatError, "0 bytes"),
        (16, 0, lite_runtime.ModelFormatError, "0 bytes"),
        (16, 7, lite_runtime.ModelFormatError, "too few"),
        (16, 1000, lite_runtime.ModelFormatError, "damaged or truncated"),
        (20, 1000, lite_runtime.ModelFormatError, "MSL2"),
        (0, len(BYTES), lite_runtime.ModelFormatError, "MSL2"),
    ],
)
def test_a_wrong_region_is_refused(package: int, offset: int, length: int, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        _native.Model.from_descriptor(package, offset, length)
    assert str(caught.value).startswith(f"file descriptor {package}: ")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    read, write = os.pipe()
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        for descriptor in (read, folder):
            with pytest.raises(lite_runtime.ModelFileError, match="is not a file"):
                _native.Model.from_descriptor(descriptor)
        with pytest.raises(lite_runtime.ModelFileError, match="Bad file descriptor"):
            _native.Model.from_descriptor(-1)
    finally:
        for descriptor in (read, write, folder):
            os.close(descriptor)


def test_memory_of_a_region_is_given_back(tmp_path: Path) -> None:
    """Weights that are packed are no longer needed in the file: their pages leave this process."""
    path = tmp_path / "package"
    path.write_bytes(bytes(4104) + BYTES)
    for _ in range(3):
        session = _native.Session(_native.Model.from_descriptor(os.open(path, os.O_RDONLY), 4104), threads=1)
        session.set_input(0, np.zeros(session.input_shapes[0], np.float32))
        session.run()
        del session
    assert str(path) not in Path("/proc/self/maps").read_text()
