"""Calibration inputs from folders of files, as [data_preprocess_param] describes them: images, or raw elements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from converter.config import Config, did_you_mean
from converter.errors import ConfigError, SourceFileError, UsageError
from converter.ir.graph import Model, Value

_SECTION = "data_preprocess_param"
_MODES = {"RGB": "RGB", "BGR": "RGB", "GRAY": "L"}
_METHODS = {"LINEAR": "BILINEAR", "NEAREST": "NEAREST", "CUBIC": "BICUBIC"}


@dataclass(frozen=True)
class Images:
    """What is done with an image, in this order: colours, (x - mean) / std per channel, resize, cut out the middle."""

    colors: str
    mean: Sequence[float]
    std: Sequence[float]
    size: tuple[int, int] | None  # height, width
    method: str
    crop: tuple[int, int] | None


def from_config(config: Config, model: Model, channels_last: bool) -> list[list[np.ndarray]]:
    """The samples that [data_preprocess_param] names, an array per input of ``model``; none where it names no folder.

    Images have the layout ``channels_last`` says; BIN files that of the model's input. Each input's files are taken in
    the order of their names, the first ``calibrate_size`` of them.

    Raises ConfigError, SourceFileError or UsageError.
    """
    text = config.get(_SECTION, "calibrate_path")
    if not text:
        if config.values.get(_SECTION):
            raise ConfigError(f"config: [{_SECTION}] sets no calibrate_path: give name:folder for each input")
        return []
    folders = _folders(text, model)
    size = config.get(_SECTION, "calibrate_size")
    kind = config.get(_SECTION, "input_type")
    if not size or not kind:
        raise ConfigError(f"config: [{_SECTION}] needs calibrate_size and input_type (IMAGE or BIN)")
    images = _images(config)
    columns = []
    for value in model.main.inputs:
        files = _files(folders[value.name], size)
        read = [_image(f, images, value, channels_last) if kind == "IMAGE" else _elements(f, value) for f in files]
        columns.append(read)
    return [list(sample) for sample in zip(*columns)]


def _folders(text: str, model: Model) -> dict[str, Path]:
    names = [value.name for value in model.main.inputs]
    folders: dict[str, Path] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, colon, folder = _split(item, names)
        if not colon or not folder:
            raise ConfigError(f"config: [{_SECTION}] calibrate_path: '{item}' is not of the form input:folder")
        if name not in names:
            known = ", ".join(f"'{n}'" for n in names)
            hint = did_you_mean(name, names)
            raise ConfigError(
                f"config: [{_SECTION}] calibrate_path: the model has no input '{name}'{hint} (it has {known})"
            )
        folders[name] = Path(folder)
    missing = [name for name in names if name not in folders]
    if missing:
        raise ConfigError(f"config: [{_SECTION}] calibrate_path names no folder for the input '{missing[0]}'")
    return folders


def _split(item: str, names: Sequence[str]) -> tuple[str, str, str]:
    """Name, colon, folder; names may hold colons."""
    for name in sorted(names, key=len, reverse=True):
        if item.startswith(f"{name}:"):
            return name, ":", item[len(name) + 1 :].strip()
    return item.partition(":")


def _files(folder: Path, size: int) -> list[Path]:
    if not folder.is_dir():
        raise SourceFileError(f"{folder}: calibrate_path is no folder")
    files = sorted(file for file in folder.iterdir() if file.is_file())
    if len(files) < size:
        raise UsageError(f"{folder}: calibrate_size={size}, but there are only {len(files)} files")
    return files[:size]


def _elements(file: Path, value: Value) -> np.ndarray:
    shape = _known_shape(value)
    data = np.fromfile(file, value.dtype.numpy)
    needed = int(np.prod(shape)) * value.dtype.numpy.itemsize
    if file.stat().st_size != needed:
        raise UsageError(
            f"{file}: has {file.stat().st_size} bytes, the input '{value.name}' ({value.dtype.name.lower()}"
            f"{list(shape)}) needs {needed}"
        )
    if data.dtype.kind == "f" and not np.isfinite(data).all():
        raise UsageError(f"{file}: NaN or infinity for the input '{value.name}'")
    return data.reshape(shape)


def _known_shape(value: Value) -> tuple[int, ...]:
    """The input's shape; an open first dimension is 1."""
    shape = value.shape
    if shape is not None and shape and shape[0] == -1:
        shape = (1, *shape[1:])
    if shape is None or min(shape, default=0) < 0:
        raise UsageError(
            f"calibration: the input '{value.name}' has open dimensions {list(value.shape or ())}: give inputShape"
        )
    return shape


def _images(config: Config) -> Images:
    def pair(height: str, width: str) -> tuple[int, int] | None:
        h, w = config.get(_SECTION, height), config.get(_SECTION, width)
        if bool(h) != bool(w):
            raise ConfigError(f"config: [{_SECTION}] {height} and {width} belong together: give both")
        return (h, w) if h else None

    def per_channel(key: str) -> list[float]:
        values = config.get(_SECTION, key)
        if values and len(values) != channels:
            wanted = f"image_to_format={colors} has {channels} channels"
            raise ConfigError(f"config: [{_SECTION}] {key} has {len(values)} numbers, {wanted}")
        return list(values) if values else []

    colors = config.get(_SECTION, "image_to_format") or "BGR"
    channels = 1 if colors == "GRAY" else 3
    mean, std = per_channel("normalize_mean"), per_channel("normalize_std")
    if any(s == 0 or not np.isfinite(s) for s in std) or not np.isfinite(mean).all():
        raise ConfigError(f"config: [{_SECTION}] normalize_std holds a 0, or a number is not finite")
    size, crop = pair("resize_height", "resize_width"), pair("center_crop_height", "center_crop_width")
    method = config.get(_SECTION, "resize_method") or "LINEAR"
    return Images(colors, mean or [0.0] * channels, std or [1.0] * channels, size, method, crop)


def _image(file: Path, images: Images, value: Value, channels_last: bool) -> np.ndarray:
    """float32 [1, height, width, channels] or [1, channels, height, width], values 0 to 255 before they are
    normalised."""
    x = _decoded(file, images)
    x = (x - np.array(images.mean, np.float32)) / np.array(images.std, np.float32)
    if images.size is not None:
        x = _resized(x, images.size, images.method)
    if images.crop is not None:
        x = _cropped(x, images.crop, file)
    x = x[None] if channels_last else x.transpose(2, 0, 1)[None]
    shape = value.shape
    if shape is not None and (len(shape) != 4 or any(d not in (-1, s) for d, s in zip(shape, x.shape))):
        raise UsageError(
            f"{file}: as {list(x.shape)} it does not fit the input '{value.name}' {list(shape)}: "
            "set resize_width, resize_height and image_to_format"
        )
    return np.ascontiguousarray(x, value.dtype.numpy)


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise UsageError("input_type=IMAGE needs Pillow: pip install pillow") from None
    return Image


def _decoded(file: Path, images: Images) -> np.ndarray:
    image = _pillow()
    try:
        with image.open(file) as opened:
            x = np.asarray(opened.convert(_MODES[images.colors]), np.float32)
    except (OSError, ValueError) as error:
        raise SourceFileError(f"{file}: is not an image that can be read: {error}") from error
    if images.colors == "GRAY":
        return x[:, :, None]
    return x[:, :, ::-1] if images.colors == "BGR" else x


def _resized(x: np.ndarray, size: tuple[int, int], method: str) -> np.ndarray:
    """Each channel as an image of floats."""
    image = _pillow()
    how = getattr(image.Resampling, _METHODS[method])
    height, width = size
    channels = (image.fromarray(np.ascontiguousarray(x[:, :, c])) for c in range(x.shape[2]))
    resized = [np.asarray(channel.resize((width, height), how), np.float32) for channel in channels]
    return np.stack(resized, axis=2)


def _cropped(x: np.ndarray, size: tuple[int, int], file: Path) -> np.ndarray:
    height, width = size
    if height > x.shape[0] or width > x.shape[1]:
        raise UsageError(f"{file}: {x.shape[0]}x{x.shape[1]} is smaller than center_crop {height}x{width}")
    top, left = (x.shape[0] - height) // 2, (x.shape[1] - width) // 2
    return x[top : top + height, left : left + width]
