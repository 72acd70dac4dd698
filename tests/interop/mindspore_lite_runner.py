"""Runs a .ms model in MindSpore Lite: MODEL INPUTS.npz OUTPUTS.npz [--threads N].

Executed by a Python 3.7 that has mindspore-lite==2.0.0. INPUTS holds in0, in1, ... in the model's layout,
OUTPUTS receives out0, out1, ... and their names.
"""

import sys

import mindspore_lite as mslite
import numpy as np


def main(model_path, inputs_path, outputs_path):
    context = mslite.Context()
    context.target = ["cpu"]
    context.cpu.thread_num = 1
    model = mslite.Model()
    model.build_from_file(model_path, mslite.ModelType.MINDIR_LITE, context)
    with np.load(inputs_path) as arrays:
        values = [arrays[f"in{i}"] for i in range(len(arrays.files))]
    inputs = model.get_inputs()
    if len(inputs) != len(values):
        raise SystemExit(f"the model has {len(inputs)} inputs, {len(values)} given")
    shapes = [list(value.shape) for value in values]
    if [list(tensor.shape) for tensor in inputs] != shapes:
        model.resize(inputs, shapes)
        inputs = model.get_inputs()
    for tensor, value in zip(inputs, values):
        tensor.set_data_from_numpy(np.ascontiguousarray(value))
    outputs = model.predict(inputs)
    results = {f"out{i}": tensor.get_data_to_numpy() for i, tensor in enumerate(outputs)}
    np.savez(outputs_path, names=np.array([tensor.name for tensor in outputs]), **results)


main(*sys.argv[1:])
