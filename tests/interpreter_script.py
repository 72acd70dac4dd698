"""A script in tflite_runtime's terms. ``python interpreter_script.py MODULE MODEL IN.npz OUT.npz``

Runs the model with the Interpreter of MODULE (tflite_runtime, ai_edge_litert, lite_runtime) and prints, as JSON,
what it tells of inputs and outputs, without the indices, which are each runtime's own.
"""

import importlib
import json
import sys

import numpy as np

KEYS = (
    "name",
    "shape",
    "shape_signature",
    "dtype",
    "quantization",
    "quantization_parameters",
    "sparsity_parameters",
)
PARAMETERS = ("scales", "zero_points", "quantized_dimension")


def plain(value):
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.tolist()]
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, dict):
        # Newer versions of LiteRT tell more of the quantisation.
        return {name: plain(value[name]) for name in PARAMETERS if name in value}
    return value


def main(module, model, inputs, outputs):
    interpreter_class = importlib.import_module(f"{module}.interpreter").Interpreter
    interpreter = interpreter_class(model_path=model, num_threads=1)
    interpreter.allocate_tensors()
    with np.load(inputs) as arrays:
        for detail, name in zip(interpreter.get_input_details(), arrays.files):
            interpreter.set_tensor(detail["index"], arrays[name])
    interpreter.invoke()
    results = [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]
    details = [interpreter.get_input_details(), interpreter.get_output_details()]
    print(json.dumps([[{key: plain(detail[key]) for key in KEYS} for detail in end] for end in details]))
    np.savez(outputs, *results)


if __name__ == "__main__":
    main(*sys.argv[1:])
