"""PyTorch to ONNX, and the int8 form of the same file by ONNX Runtime's static quantisation (QDQ)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.names import INT8, example_file, network_of

OPSET = 13
CALIBRATION_RUNS = 4


def convert(variant: str, folder: Path) -> None:
    if variant.endswith(INT8):
        _quantize(variant, folder)
    else:
        _export(variant, folder)


def _export(name: str, folder: Path) -> None:
    import onnx
    import onnxslim
    import torch

    from benchmarks.networks import NETWORKS, build, example_inputs

    model, inputs, names = build(name), example_inputs(name), NETWORKS[name].inputs
    raw = folder / f"{name}.raw.onnx"
    with torch.no_grad():
        expected = model(*inputs)
        torch.onnx.export(
            model, inputs, str(raw), opset_version=OPSET, input_names=list(names), output_names=["output"], dynamo=False
        )
    simple = onnxslim.slim(onnx.load(raw))
    raw.unlink()
    _drop_default_dilations(simple.graph.node)
    onnx.checker.check_model(simple)
    onnx.save(simple, folder / f"{name}.onnx")
    np.savez(example_file(folder, name), y=expected.numpy(), **{n: x.numpy() for n, x in zip(names, inputs)})


def _drop_default_dilations(nodes: Iterable[object]) -> None:
    """MindSpore Lite 2.0.0 refuses the attribute on MaxPool even where it says what is the default."""
    for node in nodes:
        if node.op_type == "MaxPool":  # type: ignore[attr-defined]
            attributes = node.attribute  # type: ignore[attr-defined]
            for attribute in [a for a in attributes if a.name == "dilations" and set(a.ints) == {1}]:
                attributes.remove(attribute)


def calibration_inputs(name: str, folder: Path) -> Iterator[dict[str, np.ndarray]]:
    """The network's example and further standard normal inputs; of integers, the example's in another order."""
    example = {key: value for key, value in np.load(example_file(folder, name)).items() if key != "y"}
    yield example
    for seed in range(CALIBRATION_RUNS - 1):
        random = np.random.default_rng(seed)
        yield {key: _other(value, random) for key, value in example.items()}


def _other(example: np.ndarray, random: np.random.Generator) -> np.ndarray:
    if example.dtype.kind == "i":
        return random.permuted(example)
    return random.standard_normal(example.shape).astype(example.dtype)


def _quantize(variant: str, folder: Path) -> None:
    """Weights int8 per channel, activations uint8 per tensor."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    name = network_of(variant)

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.inputs = calibration_inputs(name, folder)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.inputs, None)

    prepared = folder / f"{variant}.prepared.onnx"
    quant_pre_process(str(folder / f"{name}.onnx"), str(prepared))
    quantize_static(
        str(prepared),
        str(folder / f"{variant}.onnx"),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=True,  # without it ONNX Runtime saturates on x86 without VNNI
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    prepared.unlink()
