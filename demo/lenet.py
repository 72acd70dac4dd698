"""Converts a trained digit network, runs it on 1000 test digits and shows what came out.

The network learned 5000 MNIST digits in MindSpore 2.10, which exported it as MindIR. Everything is written to
demo_output/: the .ms model, digits.png and a digit of each kind in digits/.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table
from rich.text import Text

import converter
import lite_runtime

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data" / "lenet"
OUTPUT = ROOT / "demo_output"
SHADES = " ░▒▓█"


def grey(image: np.ndarray) -> np.ndarray:
    """A digit (1, 28, 28) as brightness from 0 to 1."""
    pixels = image[0]
    return (pixels - pixels.min()) / np.ptp(pixels)


def terminal_picture(images: np.ndarray, said: np.ndarray, truth: np.ndarray) -> Text:
    """Digits side by side, two columns of text per pixel pair so that they look square."""
    small = [grey(image).reshape(14, 2, 28).mean(axis=1) for image in images]
    picture = Text()
    for row in range(14):
        for digit in small:
            picture.append("".join(SHADES[int(value * 4.999)] for value in digit[row]) + " ")
        picture.append("\n")
    for answer, label in zip(said, truth):
        words = f"{answer}" if answer == label else f"{answer} (is {label})"
        picture.append(words.center(29), "green" if answer == label else "bold red")
    return picture


def save_picture(path: Path, images: np.ndarray, said: np.ndarray, truth: np.ndarray, columns: int = 8) -> None:
    """A sheet of digits, each with what the network said: green when right, red when wrong."""
    scale, edge, caption = 3, 84, 16
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * (edge + 8) + 8, rows * (edge + caption + 8) + 8), "white")
    draw = ImageDraw.Draw(sheet)
    for index, image in enumerate(images):
        x, y = 8 + index % columns * (edge + 8), 8 + index // columns * (edge + caption + 8)
        digit = Image.fromarray((255 - 255 * grey(image)).astype(np.uint8)).resize((28 * scale, 28 * scale))
        sheet.paste(digit, (x, y))
        right = said[index] == truth[index]
        words = f"{said[index]}" if right else f"{said[index]}, is {truth[index]}"
        draw.text((x + edge / 2, y + edge + 2), words, "green" if right else "red", anchor="ma")
    sheet.save(path)


def save_digits(folder: Path, images: np.ndarray, truth: np.ndarray) -> None:
    """The first digit of each kind, white on black as the network takes it: 0.png to 9.png, and labels.txt."""
    folder.mkdir(exist_ok=True)
    kinds = range(10)
    for kind in kinds:
        digit = images[np.flatnonzero(truth == kind)[0]]
        Image.fromarray((255 * grey(digit)).round().astype(np.uint8)).save(folder / f"{kind}.png")
    (folder / "labels.txt").write_text("".join(f"{kind}\n" for kind in kinds))


def main() -> None:
    console = Console()
    OUTPUT.mkdir(exist_ok=True)
    source, target = DATA / "lenet_mnist5k.mindir", OUTPUT / "lenet.ms"
    start = time.perf_counter()
    converter.convert(source, target)
    seconds = time.perf_counter() - start

    with np.load(DATA / "lenet_mnist5k_test.npz") as test:
        images, labels, logits = test["x"], test["y"], test["logits"]
    model = lite_runtime.load(target, threads=1)
    answers, times = [], []
    for image in images:
        x = image[None].transpose(0, 2, 3, 1)
        start = time.perf_counter()
        y = model(x)
        times.append(time.perf_counter() - start)
        answers.append(y[0])
    scores = np.array(answers)
    said = scores.argmax(axis=1)

    table = Table(title="LeNet, trained on 5000 MNIST digits", show_header=False)
    table.add_row("MindIR", f"{source.stat().st_size:,} bytes")
    table.add_row(".ms", f"{target.stat().st_size:,} bytes, converted in {seconds:.2f} s")
    table.add_row("Accuracy", f"{(said == labels).mean():.1%} of {len(labels)} test digits")
    table.add_row("MindSpore's own", f"{(logits.argmax(axis=1) == labels).mean():.1%}")
    error = np.abs(scores - logits).max() / np.abs(logits).max()
    table.add_row("Largest difference", f"{error:.1e} of the largest output")
    table.add_row("Time per image", f"{np.median(times) * 1e6:.0f} µs (median, one thread, {lite_runtime.isa()})")
    console.print(table)

    wrong = np.flatnonzero(said != labels)
    shown = np.concatenate([np.arange(3), wrong[:1]])
    per_line = max(1, console.width // 29)
    for part in np.split(shown, range(per_line, len(shown), per_line)):
        console.print(terminal_picture(images[part], said[part], labels[part]), soft_wrap=True)
    sheet = np.concatenate([np.arange(40 - len(wrong[:8])), wrong[:8]])
    save_picture(OUTPUT / "digits.png", images[sheet], said[sheet], labels[sheet])
    save_digits(OUTPUT / "digits", images, labels)
    console.print(f"\n{OUTPUT.name}/digits.png shows {len(sheet)} digits, the last {len(wrong[:8])} are misread ones.")


if __name__ == "__main__":
    main()
