"""[data_preprocess_param]: calibration inputs from folders of images and of raw elements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import DATA

import converter
from converter.config import check_config
from converter.errors import ConfigError, ConvertError, SourceFileError, UsageError
from converter.ir.graph import Graph, Model
from converter.quant import preprocess
from lite_runtime.types import DataType


def _model(*shapes: tuple[int, ...], names: tuple[str, ...] = ("x", "y:z")) -> Model:
    graph = Graph("main")
    for name, shape in zip(names, shapes):
        graph.add_input(name, DataType.FLOAT32, shape)
    return Model([graph], "net")


def _read(model: Model, channels_last: bool = True, **keys: Any) -> list[list[np.ndarray]]:
    settings = {key: str(value) for key, value in keys.items()}
    return preprocess.from_config(check_config({"data_preprocess_param": settings}, "config"), model, channels_last)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Three images of 4 rows and 6 columns, red rising from left to right; read in the order of their names."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in (2, 0, 1):
        pixels = np.zeros((4, 6, 3), np.uint8)
        pixels[:, :, 0] = np.arange(6) * 40
        pixels[:, :, 1] = 10 * number
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_colors_and_normalisation(images: Path) -> None:
    model = _model((1, 4, 6, 3))
    common = {"calibrate_path": f"x:{images}", "calibrate_size": 3, "input_type": "IMAGE"}
    rgb = _read(model, **common, image_to_format="RGB")
    assert [sample[0][0, 0, 0, 1] for sample in rgb] == [0, 10, 20]
    assert np.array_equal(rgb[0][0][0, 2, :, 0], np.arange(6) * 40)
    bgr = _read(model, **common, image_to_format="BGR", normalize_mean="1,2,3", normalize_std="2,4,8")
    assert np.allclose(bgr[2][0], (rgb[2][0][..., ::-1] - [1, 2, 3]) / [2, 4, 8])
    gray = _read(_model((1, 4, 6, 1)), **common, image_to_format="GRAY")
    assert np.allclose(gray[0][0][0, 0, :, 0], np.arange(6) * 40 * 0.299, atol=1)
    first = _read(_model((1, 3, 4, 6)), channels_last=False, **common, image_to_format="RGB")
    assert np.array_equal(first[1][0].transpose(0, 2, 3, 1), rgb[1][0])


@pytest.mark.parametrize("method", ["LINEAR", "NEAREST", "CUBIC"])
def test_resize_and_crop(method: str, images: Path) -> None:
    model = _model((1, 4, 6, 3))
    (sample,) = _read(
        model, calibrate_path=f"x:{images}", calibrate_size=1, input_type="IMAGE", image_to_format="RGB",
        resize_height=8, resize_width=12, resize_method=method, center_crop_height=4, center_crop_width=6,
    )  # fmt: skip
    red = sample[0][0, :, :, 0]
    # The middle half of a ramp from 0 to 200 over twice as many pixels.
    assert red.shape == (4, 6) and np.abs(red - (np.arange(3, 9) - 0.5) * 20).max() <= 11
    assert np.ptp(red, axis=0).max() < 1e-3


def test_raw_elements_for_several_inputs(tmp_path: Path) -> None:
    rows = {"x": np.arange(12, dtype=np.float32), "y:z": np.arange(4, dtype=np.float32)}
    for name, data in rows.items():
        folder = tmp_path / name.replace(":", "_")
        folder.mkdir()
        for number in range(2):
            (data + number).tofile(folder / f"{number}.bin")
    path = f"x:{tmp_path}/x, y:z:{tmp_path}/y_z"
    samples = _read(_model((-1, 3, 4), (2, 2)), calibrate_path=path, calibrate_size=2, input_type="BIN")
    assert [[a.shape for a in sample] for sample in samples] == [[(1, 3, 4), (2, 2)]] * 2
    assert np.array_equal(samples[1][1].ravel(), rows["y:z"] + 1)


@pytest.mark.parametrize(
    ("keys", "error", "message"),
    [
        ({}, ConfigError, "sets no calibrate_path"),
        ({"calibrate_path": "x:{images}", "calibrate_size": None}, ConfigError, "needs calibrate_size and input_type"),
        ({"calibrate_path": "{images}"}, ConfigError, "is not of the form input:folder"),
        ({"calibrate_path": "xx:{images}"}, ConfigError, r"no input 'xx' \(did you mean x\?\)"),
        ({"calibrate_path": "x:{images}/no"}, SourceFileError, "calibrate_path is no folder"),
        ({"calibrate_path": "x:{images}", "calibrate_size": 4}, UsageError, "calibrate_size=4, but there are only 3"),
        ({"calibrate_path": "x:{images}", "resize_height": 3}, ConfigError, "belong together"),
        ({"calibrate_path": "x:{images}", "normalize_mean": "1,2"}, ConfigError, "normalize_mean has 2 numbers"),
        ({"calibrate_path": "x:{images}", "normalize_std": "1,0,1"}, ConfigError, "normalize_std holds a 0"),
        ({"calibrate_path": "x:{images}", "center_crop_height": 5, "center_crop_width": 5}, UsageError, "is smaller"),
        (
            {"calibrate_path": "x:{images}", "resize_height": 5, "resize_width": 6},
            UsageError,
            r"as \[1, 5, 6, 3\] it does not fit the input 'x' \[1, 4, 6, 3\]",
        ),
        ({"calibrate_path": "x:{images}", "input_type": "BIN"}, UsageError, r"bytes, the input 'x' .* needs 288"),
    ],
)
def test_what_does_not_serve(keys: dict[str, Any], error: type[ConvertError], message: str, images: Path) -> None:
    given = {"calibrate_size": 2, "input_type": "IMAGE", **keys}
    settings = {k: str(v).replace("{images}", str(images)) for k, v in given.items() if v is not None}
    with pytest.raises(error, match=message):
        _read(_model((1, 4, 6, 3)), **(settings if keys else {"input_type": "BIN"}))


def test_a_file_that_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(SourceFileError, match="is not an image that can be read"):
        _read(_model((1, 4, 6, 3)), calibrate_path=f"x:{tmp_path}", calibrate_size=1, input_type="IMAGE")


def test_from_a_configuration_file(tmp_path: Path) -> None:
    """The digit network, whose inputs are (pixel / 255 - mean) / std."""
    folder = tmp_path / "digits"
    folder.mkdir()
    with np.load(DATA / "lenet" / "lenet_mnist5k_test.npz") as arrays:
        mean, std = float(arrays["mean"]), float(arrays["std"])
        for number, x in enumerate(arrays["xcal"][:16]):
            pixels = np.clip(np.rint((x[0] * std + mean) * 255), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number:02}.png")
    config = tmp_path / "full.cfg"
    config.write_text(
        "[common_quant_param]\nquant_type=FULL_QUANT\n[full_quant_param]\nactivation_quant_method=KL\n"
        f"[data_preprocess_param]\ncalibrate_path=x:{folder}\ncalibrate_size=16\ninput_type=IMAGE\n"
        f"image_to_format=GRAY\nnormalize_mean={mean * 255}\nnormalize_std={std * 255}\n"
    )
    report = converter.convert(DATA / "lenet" / "lenet_mnist5k.mindir", tmp_path / "net.ms", config=config, check=False)
    assert report.bytes_after < 0.3 * report.bytes_before
