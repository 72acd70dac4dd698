"""Lines of text as pictures of 48 rows, rendered from a seed: words, dates and numbers in several fonts, with a little
noise, blur and uneven light."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from benchmarks.quantization.packages import fetch

HEIGHT = 48
_FONT_PACKAGES = ("font-roboto==0.0.1", "font-lato==0.1.0", "font-source-serif-pro==0.0.1", "font-caladea==0.0.2")
_FONTS = (
    "Roboto-Regular.ttf", "Roboto-Bold.ttf", "Roboto-LightItalic.ttf", "Lato-Regular.ttf", "Lato-Italic.ttf",
    "SourceSerifPro-Regular.ttf", "SourceSerifPro-Bold.ttf", "Caladea-Regular.ttf", "Caladea-BoldItalic.ttf",
)  # fmt: skip
_WORDS = Path(__file__).with_name("words.txt").read_text().split()


@dataclass(frozen=True)
class Line:
    """``pixels`` uint8 [48, width, 3], dark on light or the other way."""

    text: str
    pixels: np.ndarray


def lines(count: int, seed: int, folder: Path) -> list[Line]:
    """Rendered lines, always the same for a seed; fonts are fetched into ``folder``."""
    found = {p.name: p for package in _FONT_PACKAGES for p in fetch(package, folder).rglob("*.ttf")}
    fonts = [found[name] for name in _FONTS]
    random = np.random.default_rng(seed)
    return [_line(random, fonts) for _ in range(count)]


def _line(random: np.random.Generator, fonts: list[Path]) -> Line:
    text = _text(random)
    font = ImageFont.truetype(str(fonts[random.integers(len(fonts))]), int(random.integers(26, 38)))
    left, top, right, bottom = font.getbbox(text)
    width = int(right - left) + int(random.integers(8, 28))
    base, ink = _colors(random)
    image = Image.new("RGB", (width, HEIGHT), tuple(int(v) for v in base))
    at = ((width - (right - left)) / 2 - left, (HEIGHT - (bottom - top)) / 2 - top + random.uniform(-2, 2))
    ImageDraw.Draw(image).text(at, text, fill=tuple(int(v) for v in ink), font=font)
    tilted = image.rotate(random.uniform(-1.2, 1.2), Image.Resampling.BICUBIC, fillcolor=tuple(int(v) for v in base))
    blurred = tilted.filter(ImageFilter.GaussianBlur(random.uniform(0.2, 1.1)))
    x = np.asarray(blurred, np.float32)
    light = np.linspace(random.uniform(0.85, 1.0), random.uniform(0.85, 1.0), width)[None, :, None]
    noisy = x * light + random.normal(0, random.uniform(2, 14), x.shape)
    return Line(text, np.clip(noisy, 0, 255).astype(np.uint8))


def _colors(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    light, dark = random.uniform(170, 255, 3), random.uniform(0, 90, 3)
    return (light, dark) if random.random() < 0.8 else (dark, light)


def _text(random: np.random.Generator) -> str:
    kind = random.random()
    if kind < 0.12:
        return f"{random.integers(1, 28):02}.{random.integers(1, 12):02}.{random.integers(1990, 2030)}"
    if kind < 0.24:
        return f"Total: {random.integers(1, 9999)}.{random.integers(0, 99):02} USD"
    if kind < 0.32:
        return f"No. {random.integers(10**6, 10**8)}-{chr(65 + random.integers(26))}{random.integers(10, 99)}"
    words = [str(_WORDS[i]) for i in random.integers(len(_WORDS), size=random.integers(2, 6))]
    style = random.random()
    if style < 0.3:
        words[0] = words[0].capitalize()
    elif style < 0.45:
        words = [word.capitalize() for word in words]
    elif style < 0.55:
        words = [word.upper() for word in words]
    return " ".join(words) + ("." if random.random() < 0.2 else "")
