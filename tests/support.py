"""What tests share: where data lies and how answers are compared."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np

import lite_runtime as mslite

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data"
# Where the packages under test are imported from: an installation or this checkout.
PACKAGES = Path(mslite.__file__).resolve().parent.parent
# The full corpus of models, too large for the repository; tests that need it are marked `corpus`.
CORPUS = Path(os.environ.get("LITE_RUNTIME_CORPUS", ROOT.parent / "shared" / "corpus"))

# The small MindIR models, the options their conversion needs, and the image networks of the corpus.
MINDIR = sorted((*DATA.glob("mindir_v1/*.mindir"), *DATA.glob("mindir_v3/*.mindir")))
_KEY = b"0123456789ABCDEF".hex()
OPTIONS = {"cnn_gcm": {"decrypt_key": _KEY}, "cnn_cbc": {"decrypt_key": _KEY, "decrypt_mode": "AES-CBC"}}
ZOO = (
    "edgenext_xx_small",
    "mixnet_s",
    "mobilenet_v1_025",
    "mobilenet_v2_035_96",
    "mobilenet_v3_small_075",
    "mobilevit_xx_small",
    "pvt_v2_b0",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
)


def recorded(npz: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Inputs and outputs of a recording (arrays ``in0, in1, ...`` and ``out00, out01, ...``), in order."""
    with np.load(npz) as arrays:
        inputs = [arrays[f"in{i}"] for i in range(sum(name.startswith("in") for name in arrays))]
        outputs = [arrays[f"out{i:02d}"] for i in range(sum(name.startswith("out") for name in arrays))]
    return inputs, outputs


def assert_close(actual: np.ndarray, expected: np.ndarray, tolerance: float = 1e-4, what: str = "") -> None:
    """The largest error is at most ``tolerance`` times the largest magnitude expected; shapes agree."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, expected {expected.shape}"
    if expected.size == 0:
        return
    assert np.isfinite(actual).all() or not np.isfinite(expected).all(), f"{what}: not finite"
    error = np.abs(actual.astype(np.float64) - expected.astype(np.float64)).max()
    bound = tolerance * np.abs(expected.astype(np.float64)).max()
    assert error <= bound, f"{what}: error {error:.3g}, allowed {bound:.3g}"


def assert_all_close(actual: list[np.ndarray], expected: list[np.ndarray], what: str) -> None:
    """As many outputs as expected, each close."""
    assert len(actual) == len(expected), what
    for index, (output, answer) in enumerate(zip(actual, expected)):
        assert_close(output, answer, what=f"{what} output {index}")


def channels_last(arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Recorded inputs as a .ms model takes them: 4-D ones in NHWC instead of NCHW, int64 as int32."""
    turned = [a.transpose(0, 2, 3, 1) if a.ndim == 4 else a for a in arrays]
    return [np.array(a, np.int32 if a.dtype == np.int64 else a.dtype, order="C") for a in turned]


def run_ms(path: Path, inputs: list[np.ndarray], threads: int = 1) -> list[np.ndarray]:
    """The outputs of a .ms model in our runtime, for inputs in the model's own layout."""
    context = mslite.Context()
    context.target = ["cpu"]
    context.cpu.thread_num = threads
    model = mslite.Model()
    model.build_from_file(str(path), mslite.ModelType.MINDIR_LITE, context)
    tensors = model.get_inputs()
    shapes = [list(value.shape) for value in inputs]
    if [list(tensor.shape) for tensor in tensors] != shapes:
        model.resize(tensors, shapes)
    for tensor, value in zip(tensors, inputs):
        tensor.set_data_from_numpy(value)
    return [np.array(tensor.get_data_to_numpy()) for tensor in model.predict(tensors)]


@cache
def mindspore_lite_python() -> str | None:
    """An interpreter that imports mindspore_lite: $MINDSPORE_LITE_PYTHON or python3.7 on the PATH."""
    candidate = os.environ.get("MINDSPORE_LITE_PYTHON") or shutil.which("python3.7")
    if candidate is None:
        return None
    probe = subprocess.run([candidate, "-c", "import mindspore_lite"], capture_output=True)
    return candidate if probe.returncode == 0 else None
