#!/usr/bin/python3
"""Classifies the pictures of a folder, or what the camera sees; prints classes, frames per second and CPU temperature.

Settings come from settings.json beside this file; flags override them. Needs NumPy and lite_runtime. Pictures other
than .ppm and .pgm need Pillow (python3-pil), the camera needs picamera2 (python3-picamera2).
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import lite_runtime

THERMAL = Path("/sys/class/thermal/thermal_zone0/temp")
PICTURES = {".ppm", ".pgm", ".jpg", ".jpeg", ".png", ".bmp", ".webp"}


def settings() -> dict[str, Any]:
    beside = Path(__file__).resolve().parent / "settings.json"
    return json.loads(beside.read_text(encoding="utf-8")) if beside.is_file() else {}


def three(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def parser() -> argparse.ArgumentParser:
    known = settings()
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", default=known.get("model"), help="the .ms model (%(default)s)")
    p.add_argument("--labels", default=known.get("labels"), help="names of the classes, one a line (%(default)s)")
    p.add_argument("--images", default=known.get("images"), help="a picture or a folder of them (%(default)s)")
    p.add_argument("--camera", action="store_true", help="look through the camera instead")
    p.add_argument("--mean", type=three, default=known.get("mean", [0.0]), help="of the pixels, from 0 to 1")
    p.add_argument("--std", type=three, default=known.get("std", [1.0]), help="of the pixels")
    p.add_argument("--top", type=int, default=5, help="how many classes to print (%(default)s)")
    p.add_argument("--threads", type=int, help="threads to compute with (all cores)")
    p.add_argument("--frames", type=int, default=0, help="stop after so many (pictures: after all; camera: never)")
    p.add_argument("--quiet", action="store_true", help="one line a frame, with the best class")
    return p


def temperature() -> str:
    """The CPU's, where Linux tells it."""
    try:
        return f"{int(THERMAL.read_text()) / 1000:.1f} °C"
    except (OSError, ValueError):
        return "unknown"


def read_pnm(path: Path) -> np.ndarray:
    """A binary .pgm or .ppm picture of 8 bits, as uint8 [height, width, 3]."""
    data = path.read_bytes()
    head = re.match(rb"P([56])(?:\s|#[^\n]*\n)+(\d+)\s+(\d+)\s+255\s", data)
    if head is None:
        sys.exit(f"{path}: not a binary .pgm or .ppm picture with 8 bits")
    channels, width, height = (3 if head[1] == b"6" else 1), int(head[2]), int(head[3])
    pixels = np.frombuffer(data, np.uint8, offset=head.end())
    if pixels.size < height * width * channels or pixels.size == 0:
        sys.exit(f"{path}: cut short: {pixels.size} bytes of pixels for {width} x {height}")
    picture = pixels[: height * width * channels].reshape(height, width, channels)
    return np.broadcast_to(picture, (height, width, 3))


def read_picture(path: Path) -> np.ndarray:
    """uint8 [height, width, 3]."""
    if path.suffix.lower() in (".ppm", ".pgm"):
        return read_pnm(path)
    try:
        from PIL import Image
    except ImportError:
        sys.exit(f"{path}: pictures of this kind need Pillow: apt install python3-pil")
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    except OSError as error:
        sys.exit(f"{path}: {error}")


def pictures(source: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Names and pixels. A folder's pictures come in the order of their names."""
    found = sorted(p for p in source.iterdir() if p.suffix.lower() in PICTURES) if source.is_dir() else [source]
    if not found or not source.exists():
        sys.exit(f"{source}: no pictures ({' '.join(sorted(PICTURES))})")
    for path in found:
        yield path.name, read_picture(path)


def camera(height: int, width: int) -> Iterator[tuple[str, np.ndarray]]:
    """Frames, of about the model's size."""
    try:
        from picamera2 import Picamera2
    except ImportError:
        sys.exit("--camera needs picamera2: apt install python3-picamera2")
    device = Picamera2()
    # "BGR888" is R, G, B in memory. The sensor's scaler likes even sizes and no tiny ones.
    size = (max(320, width + width % 2), max(240, height + height % 2))
    device.configure(device.create_preview_configuration(main={"size": size, "format": "BGR888"}))
    device.start()
    number = 0
    while True:
        number += 1
        yield f"frame {number}", device.capture_array("main")


def resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """The largest centred part of the same proportions, scaled bilinearly; float32 [height, width, 3], 0 to 255."""
    scale = min(picture.shape[0] / height, picture.shape[1] / width)
    at = []
    for size, wanted in ((picture.shape[0], height), (picture.shape[1], width)):
        place = (np.arange(wanted) + 0.5 - wanted / 2) * scale + size / 2 - 0.5
        place = place.clip(0, size - 1)
        low = place.astype(np.intp)
        at.append((low, np.minimum(low + 1, size - 1), (place - low).astype(np.float32)))
    (y0, y1, fy), (x0, x1, fx) = at
    fx = fx[:, None]
    rows = [picture[y][:, x0] * (1 - fx) + picture[y][:, x1] * fx for y in (y0, y1)]
    fy = fy[:, None, None]
    return (rows[0] * (1 - fy) + rows[1] * fy).astype(np.float32)


def prepared(picture: np.ndarray, spec: lite_runtime.TensorSpec, mean: list[float], std: list[float]) -> np.ndarray:
    """What the model takes: [1, height, width, channels]; normalised floats, or whole numbers as they are."""
    _, height, width, channels = spec.shape
    pixels = resized(picture, height, width)
    if channels == 1:
        pixels = pixels @ np.array([0.299, 0.587, 0.114], np.float32)[:, None]
    if spec.dtype == np.uint8:
        return pixels.round().astype(np.uint8)[None]
    if spec.dtype == np.int8:
        return (pixels.round() - 128).astype(np.int8)[None]
    use = slice(None) if channels == 3 else slice(1)
    values = (pixels / 255 - np.array(mean[use])) / np.array(std[use])
    return np.ascontiguousarray(values[None], spec.dtype)


def probabilities(scores: np.ndarray) -> np.ndarray:
    """Softmax, unless the model has already done it."""
    scores = scores.astype(np.float64).ravel()
    if scores.min() >= 0 and abs(scores.sum() - 1) < 1e-2:
        return scores
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


def image_input(net: lite_runtime.Predictor, name: str) -> lite_runtime.TensorSpec:
    specs = net.inputs
    shape = specs[0].shape if len(specs) == 1 else None
    if shape is None or len(shape) != 4 or shape[3] not in (1, 3) or min(shape[1:]) < 1:
        sys.exit(f"{name} does not take pictures ([1, height, width, 1 or 3]): {net}")
    return specs[0]


def main() -> int:
    args = parser().parse_args()
    if args.model is None:
        sys.exit("--model is needed: a .ms model that classifies pictures")
    try:
        net = lite_runtime.load(args.model, threads=args.threads)
    except lite_runtime.LiteRuntimeError as error:
        sys.exit(str(error))
    spec = image_input(net, args.model)
    labels = Path(args.labels).read_text(encoding="utf-8").splitlines() if args.labels else []
    if not args.camera and args.images is None:
        sys.exit("--images or --camera is needed")
    frames = camera(*spec.shape[1:3]) if args.camera else pictures(Path(args.images))
    print(f"{Path(args.model).name}: {spec!r}; lite_runtime {lite_runtime.__version__}, tier {lite_runtime.isa()}")
    start, count, computing = time.perf_counter(), 0, 0.0
    for name, picture in frames:
        begin = time.perf_counter()
        result = net(prepared(picture, spec, args.mean, args.std))
        seconds = time.perf_counter() - begin
        count, computing = count + 1, computing + seconds
        chances = probabilities(np.asarray(result[0] if isinstance(result, list) else result))
        best = np.argsort(-chances, kind="stable")[: 1 if args.quiet else args.top]
        named = [labels[i] if i < len(labels) else f"class {i}" for i in best]
        line = f"{name}: {seconds * 1e3:.1f} ms, {count / (time.perf_counter() - start):.1f} fps, CPU {temperature()}"
        told = [f"{chances[i]:6.1%} {label}" for i, label in zip(best, named)]
        print(f"{line}: {told[0].strip()}" if args.quiet else "\n  ".join([line, *told]), flush=True)
        if count == args.frames:
            break
    print(f"{count} frames, {count / computing:.1f} fps computing, CPU {temperature()}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
