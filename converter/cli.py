"""``converter_lite``: MindSpore Lite's converter tool, flag by flag.

Exit code 0 and ``CONVERT RESULT SUCCESS:0`` on stdout, or one line ``CONVERT RESULT FAILED:<code> <message>`` on
stderr and that exit code (see ``converter.errors``). On failure no output file is written.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import typer

from converter.api import DECRYPT_MODES, Progress, convert
from converter.config import did_you_mean
from converter.errors import ConvertError, OutputError, UsageError
from converter.exporter import write
from converter.fmk import FmkType
from converter.passes import LEVELS
from converter.report import Report, failure, to_json
from converter.report_page import page
from lite_runtime import __version__
from lite_runtime.types import DataType, Format

T = TypeVar("T")

_ON_OFF = {"on": True, "off": False}
_TRUE_FALSE = {"true": True, "false": False}
_FORMATS = {"": Format.NHWC, "NHWC": Format.NHWC, "NCHW": Format.NCHW}
_DATA_TYPES = {
    "DEFAULT": DataType.UNKNOWN,
    "FLOAT": DataType.FLOAT32,
    "FLOAT16": DataType.FLOAT16,
    "INT8": DataType.INT8,
    "UINT8": DataType.UINT8,
    "INT32": DataType.INT32,
    "INT64": DataType.INT64,
}
_SAVE_TYPES = {"MINDIR_LITE": True, "MINDIR": False}

# How much of a stage is done: "calibrate: ranges 3/32".
_PART = re.compile(r" (\d+)/(\d+)$")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def _flag(name: str, default: Any, text: str) -> Any:
    return typer.Option(default, f"--{name}", help=text, show_default=default not in ("", ...))


@app.command(
    help="Converts a model to MindSpore Lite's .ms format. Flags are given as --name=value.",
    context_settings={"max_content_width": 120},
)
def converter_lite(
    model_file: str = _flag("modelFile", ..., "The model to convert."),
    output_file: str = _flag("outputFile", ..., 'The file to write; ".ms" is appended.'),
    fmk: str = _flag("fmk", "", "Format of the model: MINDIR, ONNX, TFLITE or MSLITE. By default told from the file."),
    weight_file: str = _flag("weightFile", "", "A .ckpt with other weights, or a split MINDIR's folder of weights."),
    input_shape: str = _flag("inputShape", "", 'Input shapes, "name1:1,32,32,3;name2:1,10"; -1 leaves one open.'),
    input_data_format: str = _flag("inputDataFormat", "", "Layout of 4-D inputs: NHWC (default) or NCHW."),
    output_data_format: str = _flag("outputDataFormat", "", "Layout of 4-D outputs (not offered: as in the source)."),
    input_data_type: str = _flag("inputDataType", "DEFAULT", f"Type of the inputs: {', '.join(_DATA_TYPES)}."),
    output_data_type: str = _flag("outputDataType", "DEFAULT", f"Type of the outputs: {', '.join(_DATA_TYPES)}."),
    fp16: str = _flag("fp16", "off", "Store float32 weights as float16: on or off."),
    optimize: str = _flag("optimize", "general", "Optimisation: none or general."),
    infer: str = _flag("infer", "false", "Run the converted model once before it is written: true or false."),
    check: str = _flag("check", "on", "Compare the converted model with an independent engine: on or off."),
    check_data: str = _flag("checkData", "", "Inputs for that, a .npz with one array per input; random by default."),
    check_threshold: str = _flag("checkThreshold", "", "Largest error allowed, relative to the largest output value."),
    save_type: str = _flag("saveType", "MINDIR_LITE", "Kind of file to write: MINDIR_LITE."),
    config_file: str = _flag("configFile", "", "Configuration file in ini format."),
    decrypt_key: str = _flag("decryptKey", "", "Key of an encrypted MINDIR, in hexadecimal digits."),
    decrypt_mode: str = _flag("decryptMode", "AES-GCM", f"How it is encrypted: {' or '.join(DECRYPT_MODES)}."),
    encryption: str = _flag("encryption", "false", "Encrypt the output (not offered)."),
    encrypt_key: str = _flag("encryptKey", "", "Key to encrypt the output with (not offered)."),
    train_model: str = _flag("trainModel", "false", "Convert a model for training (not offered)."),
    device: str = _flag("device", "", "Device to convert for (not offered: models are for the CPU)."),
    optimize_transformer: str = _flag("optimizeTransformer", "false", "Ascend's transformer fusion (not offered)."),
    allow_custom: str = _flag("allowCustom", "off", "Write nodes that cannot be converted as Custom nodes: on or off."),
    report: str = _flag("report", "", "Also write what was done, or why it failed, to this JSON file (or .html page)."),
) -> None:
    _refuse("trainModel", _choice("trainModel", train_model, _TRUE_FALSE), "models for training cannot be written")
    _refuse("encryption", _choice("encryption", encryption, _TRUE_FALSE), "the output cannot be encrypted")
    _refuse("encryptKey", encrypt_key, "the output cannot be encrypted")
    _refuse("device", device, "models are written for the CPU")
    _refuse("outputDataFormat", output_data_format, "outputs keep the layout they have in the source model")
    transformer = _choice("optimizeTransformer", optimize_transformer, _TRUE_FALSE)
    _refuse("optimizeTransformer", transformer, "it is for Ascend devices, models are written for the CPU")
    if not _choice("saveType", save_type, _SAVE_TYPES):
        raise UsageError("--saveType=MINDIR is not offered: use MINDIR_LITE, which writes a .ms file")
    arguments: dict[str, Any] = {
        "fmk": _choice("fmk", fmk, FmkType.__members__) if fmk else None,
        "weight_file": weight_file,
        "config": config_file,
        "input_shape": parse_input_shape(input_shape),
        "input_format": _choice("inputDataFormat", input_data_format, _FORMATS),
        "input_data_type": _choice("inputDataType", input_data_type, _DATA_TYPES),
        "output_data_type": _choice("outputDataType", output_data_type, _DATA_TYPES),
        "fp16": _choice("fp16", fp16, _ON_OFF),
        "optimize": _choice("optimize", optimize, {level: level for level in LEVELS}),
        "infer": _choice("infer", infer, _TRUE_FALSE),
        "check": _choice("check", check, _ON_OFF),
        "check_data": check_data or None,
        "check_threshold": _positive("checkThreshold", check_threshold) if check_threshold else None,
        "decrypt_key": decrypt_key,
        "decrypt_mode": _choice("decryptMode", decrypt_mode, {mode: mode for mode in DECRYPT_MODES}),
        "allow_custom": _choice("allowCustom", allow_custom, _ON_OFF),
    }
    report_file = _report_path(report)
    try:
        with _shown_progress() as progress:
            result = convert(model_file, output_file, progress=progress, **arguments)
    except ConvertError as error:
        if report_file is not None:
            write(report_file.with_suffix(".json"), to_json(failure(model_file, error)).encode())
        raise
    if report_file is not None:
        _write_report(report_file, result)
    _show(result)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the tool on the given arguments (by default the command line's) and returns its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # Names in models are any Unicode; a terminal that cannot show them must not end the conversion.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given == ["--version"]:
        print(f"converter_lite {__version__}")
        return 0
    try:
        app(given, prog_name="converter_lite", standalone_mode=False)
    except ConvertError as error:
        return _failed(error.exit_code, str(error))
    except MemoryError:
        return _failed(ConvertError.exit_code, "out of memory")
    except (KeyboardInterrupt, typer.Abort):
        return _failed(130, "interrupted")
    except _ClickError as error:
        return _failed(UsageError.exit_code, _usage_message(error))
    return 0


# Typer carries its own copy of click in newer versions, so the class is found through one that Typer exports.
_ClickError: Any = typer.BadParameter.__mro__[2]


def _usage_message(error: Any) -> str:
    unknown = getattr(error, "option_name", None)
    if unknown is None or not isinstance(unknown, str):
        return f"{error.format_message()} See converter_lite --help."
    flags = [option for parameter in typer.main.get_command(app).params for option in parameter.opts]
    return f"there is no flag {unknown}{did_you_mean(unknown, flags)}; see converter_lite --help"


def _failed(code: int, message: str) -> int:
    print(f"CONVERT RESULT FAILED:{code} {message}", file=sys.stderr)
    return code


def _choice(flag: str, value: str, table: Mapping[str, T]) -> T:
    if value not in table:
        raise UsageError(f"--{flag}={value}: expected {' or '.join(name for name in table if name)}")
    return table[value]


def _positive(flag: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise UsageError(f"--{flag}={text}: expected a positive number")
    return value


def _refuse(flag: str, value: object, why: str) -> None:
    if value:
        shown = "true" if value is True else value
        raise UsageError(f"--{flag}={shown} is not offered: {why}")


def parse_input_shape(text: str) -> dict[str, list[int]]:
    """Shapes by name from ``name1:1,32,32,3;name2:-1,10``; names may contain colons. Raises UsageError."""
    shapes: dict[str, list[int]] = {}
    for item in filter(None, (part.strip() for part in text.split(";"))):
        name, colon, dims = item.rpartition(":")
        try:
            shape = [int(size) for size in dims.split(",")]
        except ValueError:
            shape = []
        if not colon or not name or not shape:
            raise UsageError(f"--inputShape: '{item}' is not of the form name:1,32,32,3")
        if name in shapes:
            raise UsageError(f"--inputShape: '{name}' stands twice")
        shapes[name] = shape
    return shapes


def _report_path(text: str) -> Path | None:
    if not text:
        return None
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise OutputError(f"{path}: cannot write the report: it is a folder, or its folder does not exist")
    return path


def _write_report(path: Path, result: Report) -> None:
    """As JSON; and as a page beside it where the model was quantised, or a page is what was asked for."""
    found = result.as_dict()
    is_page = path.suffix in (".html", ".htm")
    write(path.with_suffix(".json") if is_page else path, to_json(found).encode())
    if is_page or result.quantization:
        write(path if is_page else path.with_suffix(".html"), page(found).encode())


@contextlib.contextmanager
def _shown_progress() -> Iterator[Progress | None]:
    """Shows the present stage on a terminal until the conversion ends; None elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Display

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Display(*columns, console=Console(stderr=True), transient=True) as display:
        task = display.add_task("start", total=None)

        def show(stage: str) -> None:
            part = _PART.search(stage)
            done, total = (int(part[1]), int(part[2])) if part else (0, None)
            display.update(task, description=stage, completed=done, total=total)

        yield show


def _show(report: Report) -> None:
    print(report)
    print("CONVERT RESULT SUCCESS:0")


if __name__ == "__main__":
    sys.exit(main())
