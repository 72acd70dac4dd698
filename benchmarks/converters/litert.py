"""PyTorch to TFLite with litert-torch; the int8 form (weights per channel, activations int8) with ai-edge-quantizer."""

from __future__ import annotations

from pathlib import Path

from benchmarks.names import INT8, network_of


def convert(variant: str, folder: Path) -> None:
    if variant.endswith(INT8):
        _quantize(variant, folder)
    else:
        _export(variant, folder)


def _export(name: str, folder: Path) -> None:
    import litert_torch

    from benchmarks.networks import build, example_inputs

    model, inputs = build(name), example_inputs(name)
    # A convolutional network reads NHWC, as LiteRT's users write it; else it begins with a transposition.
    if inputs[0].dim() == 4 and name != "deit_tiny":
        model = litert_torch.to_channel_last_io(model, args=[0]).eval()
        inputs = (inputs[0].permute(0, 2, 3, 1).contiguous(),)
    litert_torch.convert(model, inputs).export(str(folder / f"{name}.tflite"))


def _quantize(variant: str, folder: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe

    from benchmarks.converters.onnx import calibration_inputs

    name = network_of(variant)
    source = str(folder / f"{name}.tflite")
    (signature, places), *_ = Interpreter(source).get_signature_list().items()
    samples = [
        {places["inputs"][0]: image.transpose(0, 2, 3, 1).copy()}
        for inputs in calibration_inputs(name, folder)
        for image in inputs.values()
    ]
    work = quantizer.Quantizer(source)
    work.load_quantization_recipe(recipe.static_wi8_ai8())
    calibrated = work.calibrate({signature: samples})
    work.quantize(calibrated).export_model(str(folder / f"{variant}.tflite"), overwrite=True)
