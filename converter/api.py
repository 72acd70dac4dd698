"""``convert``: the whole way from a source file to a ``.ms`` file, for Python and for ``converter_lite``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Union

import numpy as np

from converter import check as checking
from converter import edits, engine, exporter, importers, passes, quant
from converter.config import EMPTY, Config, Sections, check_config, read_config
from converter.errors import CheckError, OutputError, SourceFileError, UsageError
from converter.fmk import FmkType, guess_fmk
from converter.ir.graph import Model, Value
from converter.quant import dynamic, mixing, pairs, preprocess, samples
from converter.quant import recipe as recipes
from converter.quant.samples import Source as CalibrationSource
from converter.report import Report, TensorSummary
from lite_runtime import _native
from lite_runtime.custom import registered_ops
from lite_runtime.errors import LiteRuntimeError
from lite_runtime.types import DataType, Format

PathLike = Union[str, "os.PathLike[str]"]
# Called at the beginning of each stage and pass with its name.
Progress = Callable[[str], None]

_CHECK_LIMIT = 1 << 30  # bytes
# Of weights rounded to float16 and activations rounded to integers, which now and then fall to the other one of two.
_ROUNDED_THRESHOLD = 5e-2
DECRYPT_MODES = ("AES-GCM", "AES-CBC")


def convert(
    path: PathLike,
    output: PathLike | None = None,
    fmk: FmkType | None = None,
    *,
    weight_file: PathLike = "",
    config: PathLike | Sections = "",
    recipe: Sequence[Mapping[str, Any]] = (),
    calibration: CalibrationSource = (),
    accuracy: quant.Accuracy | None = None,
    input_shape: Mapping[str, Sequence[int]] | None = None,
    input_format: Format = Format.NHWC,
    input_data_type: DataType = DataType.UNKNOWN,
    output_data_type: DataType = DataType.UNKNOWN,
    fp16: bool = False,
    optimize: str = "general",
    infer: bool = False,
    check: bool = True,
    check_data: PathLike | None = None,
    check_threshold: float | None = None,
    decrypt_key: str | bytes = "",
    decrypt_mode: str = "AES-GCM",
    allow_custom: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Converts a model to a ``.ms`` file.

    Args:
        path: the source model.
        output: the file to write; ".ms" is appended unless it is there. By default ``path`` with suffix ".ms".
        fmk: the source format; by default told from the file.
        weight_file: for a MindIR: a checkpoint (.ckpt) with other values of its weights; or, where its separate
            weights were moved, their folder or a file in it.
        config: a configuration file, or its sections as a dict of dicts.
        recipe: what to quantise and how, a list of rules; see converter.quant.recipe. Not beside a quant_type in
            ``config``.
        calibration: sample inputs for the algorithms that need some, in the source's layout: a .npz with an array per
            input, samples along the first axis; or samples, each a list of arrays or a dict by input name.
        accuracy: for ``max_accuracy_drop`` of [auto_mixed_precision]: called with a function that runs a model (arrays
            for its inputs as the .ms model takes them to those of its outputs); gives the part of right answers.
        input_shape: new shapes of inputs by name, in the source's layout; -1 leaves a dimension open.
        input_format: layout of the 4-D inputs of the written model, NHWC or NCHW.
        input_data_type: element type the inputs of the written model take; UNKNOWN: as in the source.
        output_data_type: likewise for outputs.
        fp16: store float32 constants as float16. They are computed with in float32.
        optimize: "none" or "general".
        infer: run the converted model once on made-up inputs before it is written.
        check: compare the converted model with an independent witness before it is written (see converter.check),
            and before it is quantised.
        check_data: a .npz with an array per input, in the source's layout; by default random numbers.
        check_threshold: largest error allowed, as a fraction of the largest value of an output; by default 1e-3;
            5e-2 with fp16 and for a source that is quantised already.
        decrypt_key: of an encrypted MindIR, as hexadecimal digits or bytes.
        decrypt_mode: "AES-GCM" or "AES-CBC".
        allow_custom: write nodes that cannot be converted as Custom nodes (see lite_runtime.register_op).
        progress: called with the name of each stage and pass as it begins.

    Raises a ConvertError; nothing is written then.

    Example:
        >>> report = convert("net.mindir", "net.ms")
        >>> report.nodes_after
        23
    """
    source = Path(path)
    _check_arguments(input_format, optimize, decrypt_mode)
    settings = _settings(config)
    if not source.is_file():
        kind = "is not a file" if source.exists() else "does not exist"
        raise SourceFileError(f"{source}: the model file {kind}")
    fmk = guess_fmk(source) if fmk is None else fmk
    target = _target(source, output)
    rules = recipes.from_recipe(recipe)
    if rules and settings.get("common_quant_param", "quant_type"):
        raise UsageError("config sets a quant_type and there is a recipe: give one of them")
    level = "none" if settings.get("registry", "disable_fusion") else optimize
    report = Report(str(source), str(target), fmk.name)
    run = _Run(report, progress)

    def load() -> Model:
        weights = Path(weight_file) if os.fspath(weight_file) else None
        model = _load(source, fmk, weights, decrypt_key, decrypt_mode, input_shape, allow_custom)
        if input_shape:
            edits.set_input_shapes(model, input_shape)
            engine.infer_shapes(model)
        return model

    with run.stage("read"):
        model = load()
        turns = input_format == Format.NHWC and not model.channels_last
        report.nodes_before = _count_nodes(model)
        report.bytes_before = _source_bytes(source)
    # Weights may be NaN or infinite, or become so; that is the model's own meaning and no reason to warn.
    with run.stage("optimize"), np.errstate(all="ignore"):
        results = passes.optimize(model, level, input_format.name, run.tell)
        report.passes = [asdict(result) for result in results]

    def without_pairs() -> tuple[Model, pairs.Known]:
        """Patterns that pairs stand in are found without them."""
        model = load()
        known = pairs.unwrap(model)
        with np.errstate(all="ignore"):
            passes.optimize(model, level, input_format.name)
        _cast_ends(model, input_data_type, output_data_type)
        dynamic.resume(model)
        return model, known

    with run.stage("export"):
        _cast_ends(model, input_data_type, output_data_type)
        rules = rules or recipes.from_config(settings, model)
        dynamic.resume(model)
        # Such ONNX files are how integer models are stored: they are meant to be computed in integers.
        if not rules and fmk == FmkType.ONNX and level != "none" and pairs.has_pairs(model):
            model = _in_integers(*without_pairs()) or model
        if fp16 and not rules:
            report.notes += edits.store_as_float16(model)
        data = exporter.export(model)
        _check_loads(model, data)
    unknown = _unregistered_ops(model)
    if unknown:
        names = ", ".join(unknown)
        report.notes.append(f"runs where lite_runtime.register_op gives a meaning to {names}; not checked")
        if infer:
            raise UsageError(f"{source}: infer cannot run {names}: register it with lite_runtime.register_op before")
    if check and not unknown:
        options = checking.Options(
            data=None if check_data is None else Path(check_data),
            threshold=check_threshold
            or (_ROUNDED_THRESHOLD if fp16 or _rounds_activations(model) else checking.DEFAULT_THRESHOLD),
            channels_last=input_format == Format.NHWC,
            encrypted=bool(decrypt_key),
        )
        with run.stage("check"):
            _check(report, checking.Conversion(str(source), fmk, data, model, load), options)
    if rules:
        with run.stage("quantize"):
            known = None
            if quant.is_full(rules) and pairs.has_pairs(model):
                model, known = without_pairs()
            given = samples.read(calibration, model, turns)
            given = given or preprocess.from_config(settings, model, turns or model.channels_last)
            budget, measure = mixing.from_config(settings, model, turns, accuracy)
            outcome = quant.quantize_and_measure(model, rules, given, budget, measure, run.tell_part, known)
            report.notes += outcome.notes
            report.quantization = outcome.cost.as_dict() if outcome.cost is not None else {}
            if fp16:
                report.notes += edits.store_as_float16(model)
            data = exporter.export(model)
            _check_loads(model, data)
    if infer:
        with run.stage("infer"):
            _try_run(str(source), data)
    with run.stage("write"):
        exporter.write(target, data)
    report.notes = model.notes + report.notes
    report.nodes_after = _count_nodes(model)
    report.bytes_after = len(data)
    report.inputs = [_summary(value) for value in model.main.inputs]
    report.outputs = [_summary(value) for value in model.main.outputs]
    report.seconds = sum(report.stages.values())
    return report


def _in_integers(model: Model, known: pairs.Known) -> Model | None:
    """The model with int8 wherever it was quantised before; None where that makes nothing int8."""
    try:
        quant.quantize(model, pairs.rules(model, known), known=known)
    except UsageError:
        return None
    return model


def _rounds_activations(model: Model) -> bool:
    """Whether the source is quantised already: values that are not constant stand for others as integers."""
    nodes = [n for g in model.graphs for n in g.nodes]
    return any(n.op == "DynamicQuant" or any(v.quant and v.data is None for v in n.outputs) for n in nodes)


def _cast_ends(model: Model, inputs: DataType, outputs: DataType) -> None:
    if inputs != DataType.UNKNOWN:
        edits.cast_inputs(model, inputs)
    if outputs != DataType.UNKNOWN:
        edits.cast_outputs(model, outputs)


class _Run:
    """Measures stages and tells of them."""

    def __init__(self, report: Report, progress: Progress | None) -> None:
        self._report = report
        self.tell = progress or (lambda _: None)

    def tell_part(self, stage: str, done: int, count: int) -> None:
        self.tell(f"{stage} {done}/{count}" if count else f"{stage} {done}")

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.tell(name)
        start = time.perf_counter()
        yield
        self._report.stages[name] = time.perf_counter() - start


def _check_arguments(input_format: Format, optimize: str, decrypt_mode: str) -> None:
    if input_format not in (Format.NHWC, Format.NCHW):
        raise UsageError(f"inputDataFormat {Format(input_format).name} is not offered: use NHWC or NCHW")
    if optimize not in passes.LEVELS:
        raise UsageError(f"optimize={optimize} is not offered: use {' or '.join(passes.LEVELS)}")
    if decrypt_mode not in DECRYPT_MODES:
        raise UsageError(f"decryptMode={decrypt_mode} is not offered: use {' or '.join(DECRYPT_MODES)}")


def _settings(config: PathLike | Sections) -> Config:
    if isinstance(config, Mapping):
        return check_config(config, "config")
    return read_config(Path(config)) if os.fspath(config) else EMPTY


def _target(source: Path, output: PathLike | None) -> Path:
    """The file to write. Raises OutputError early where it cannot be written, before the work is done."""
    text = os.fspath(source.with_suffix(".ms") if output is None else output)
    target = Path(text if text.endswith(".ms") else f"{text}.ms")
    if target.is_dir():
        raise OutputError(f"{target}: cannot write the output file: it is a folder")
    if not target.parent.is_dir():
        raise OutputError(f"{target}: cannot write the output file: the folder {target.parent} does not exist")
    if not os.access(target.parent, os.W_OK):
        raise OutputError(f"{target}: cannot write the output file: no permission to write into {target.parent}")
    if target.exists() and target.samefile(source):
        raise UsageError(f"{source}: the output file would replace the source: give another outputFile")
    return target


def _load(
    source: Path,
    fmk: FmkType,
    weights: Path | None,
    decrypt_key: str | bytes,
    decrypt_mode: str,
    input_shape: Mapping[str, Sequence[int]] | None,
    allow_custom: bool,
) -> Model:
    options: dict[str, Any] = {} if fmk == FmkType.MSLITE else {"allow_custom": allow_custom}
    if fmk == FmkType.ONNX and input_shape:
        options["input_shapes"] = input_shape
    if fmk == FmkType.MINDIR:
        options |= {"decrypt_key": decrypt_key, "decrypt_mode": decrypt_mode, "weight_file": _weights(weights)}
    elif decrypt_key:
        raise UsageError(f"{source}: decryptKey is for MINDIR models, not for {fmk.name}")
    elif weights is not None:
        raise UsageError(f"{source}: weightFile is for MINDIR models with separate weights, not for {fmk.name}")
    return importers.load(fmk.name, str(source), **options)


def _weights(path: Path | None) -> Path | str:
    if path is None:
        return ""
    if path.suffix == ".caffemodel":
        raise UsageError(f"{path}: weightFile takes a checkpoint or the weights of a split MindIR, not Caffe models")
    if not path.exists():
        raise SourceFileError(f"{path}: the weight file does not exist")
    return path


def _source_bytes(source: Path) -> int:
    """Size of the model file and, of a model with external data, the files in its ``<name>_variables`` folder."""
    stem = source.stem[: -len("_graph")] if source.stem.endswith("_graph") else source.stem
    folder = source.with_name(f"{stem}_variables")
    weights = folder.iterdir() if source.suffix == ".mindir" and folder.is_dir() else ()
    return source.stat().st_size + sum(file.stat().st_size for file in weights)


def _count_nodes(model: Model) -> int:
    return sum(len(graph.nodes) for graph in model.graphs)


def _unregistered_ops(model: Model) -> list[str]:
    """Types of Custom nodes that mean nothing in this process."""
    types = {str(node.attrs.get("type", "")) for graph in model.graphs for node in graph.nodes if node.op == "Custom"}
    return sorted(types - registered_ops())


def _check_loads(model: Model, data: memoryview) -> None:
    """Raises when our own runtime refuses the file that would be written."""
    try:
        _native.Session(_native.Model.from_buffer(data), threads=1, infer_only=True)
    except LiteRuntimeError as error:
        raise engine.translated(model.source, error) from error


def _try_run(source: str, data: memoryview) -> None:
    """Runs the model once: standard normal numbers for float inputs, zeros for others."""
    session = _native.Session(_native.Model.from_buffer(data))
    random = np.random.default_rng(0)
    for index, info in enumerate(session.inputs()):
        if info.shape is None or min(info.shape, default=0) < 0:
            raise UsageError(
                f"{source}: infer needs fixed shapes, but input '{info.name}' has {list(info.shape or ())}: "
                "give inputShape"
            )
        dtype = info.dtype.numpy
        values = random.standard_normal(info.shape) if dtype.kind == "f" else np.zeros(info.shape)
        session.set_input(index, np.ascontiguousarray(values, dtype))
    try:
        session.run()
    except LiteRuntimeError as error:
        raise CheckError(f"{source}: the converted model fails when it runs: {error}") from error


def _check(report: Report, conversion: checking.Conversion, options: checking.Options) -> None:
    """Notes in the report how the model compares with a witness; raises CheckError when it gives other answers."""
    if options.data is None and len(conversion.data) > _CHECK_LIMIT:
        report.notes.append("not checked: a second copy of a model this large may not fit the memory")
        return
    try:
        result = checking.check(conversion, options)
    except UsageError as error:
        if options.data is not None:
            raise
        report.notes.append(f"not checked: {error}")
        return
    report.check = result.as_dict()
    if not result.passed:
        where = f"; the first layer that differs is '{result.first_diverging}'" if result.first_diverging else ""
        raise CheckError(
            f"{conversion.source}: the converted model gives other answers than allowed ({options.threshold:g}): "
            f"{result}{where}"
        )


def _summary(value: Value) -> TensorSummary:
    shape = None if value.shape is None else list(value.shape)
    return TensorSummary(value.name, value.dtype.name.lower(), shape)
