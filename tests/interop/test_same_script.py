"""A script written for mindspore_lite gives the same with its import changed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import DATA, PACKAGES, assert_close, mindspore_lite_python

pytestmark = pytest.mark.interop

_SCRIPT = """
import json, sys
import numpy as np
import {module} as mslite

told = []

def tell(tensor):
    data = tensor.get_data_to_numpy()
    told.append([tensor.name, tensor.dtype.name, tensor.shape, tensor.element_num, tensor.data_size,
                 str(data.dtype), data.ravel().astype(float).tolist()])

def fill(tensors, seed):
    for tensor in tensors:
        x = np.random.RandomState(seed).randn(*tensor.shape).astype(np.float32)
        tensor.set_data_from_numpy(x)

context = mslite.Context()
context.target = ["cpu"]
context.cpu.thread_num = 2
context.cpu.thread_affinity_mode = 1
context.cpu.precision_mode = "enforce_fp32"
model = mslite.Model()
model.build_from_file(sys.argv[1], mslite.ModelType.MINDIR_LITE, context)
inputs = model.get_inputs()
told.append([[t.name, t.dtype.name, t.shape, t.element_num, t.data_size] for t in inputs])
fill(inputs, 1)
for tensor in model.predict(inputs):
    tell(tensor)
fill(inputs, 2)
for tensor in model.predict(inputs):
    tell(tensor)
model.resize(inputs, [[1, 16, 12, 3]])
told.append([t.shape for t in model.get_inputs()])
inputs = model.get_inputs()
fill(inputs, 3)
for tensor in model.predict(inputs):
    tell(tensor)

runner_context = mslite.Context()
runner_context.target = ["cpu"]
runner_context.cpu.thread_num = 1
runner_context.parallel.workers_num = 2
runner = mslite.ModelParallelRunner()
runner.build_from_file(sys.argv[1], runner_context)
inputs = runner.get_inputs()
fill(inputs, 1)
for tensor in runner.predict(inputs):
    tell(tensor)

tensor = mslite.Tensor()
tensor.name, tensor.dtype, tensor.shape = "t", mslite.DataType.INT32, [2, 3]
tensor.set_data_from_numpy(np.arange(6, dtype=np.int32).reshape(2, 3))
tell(tensor)
told += [str(tensor), str(context.cpu.thread_num), context.cpu.precision_mode, context.target]

def error_of(action):
    try:
        action()
    except Exception as error:
        return [kind.__name__ for kind in (TypeError, ValueError, RuntimeError) if isinstance(error, kind)]
    return []

errors = [
    error_of(lambda: setattr(context.cpu, "thread_num", "2")),
    error_of(lambda: setattr(context.cpu, "thread_num", -1)),
    error_of(lambda: setattr(context, "target", ["npu"])),
    error_of(lambda: model.build_from_file(3, mslite.ModelType.MINDIR_LITE)),
    error_of(lambda: mslite.Model().build_from_file("none.ms", mslite.ModelType.MINDIR_LITE)),
    error_of(lambda: model.predict(np.zeros(3))),
    error_of(lambda: model.predict([])),
    error_of(lambda: model.resize(inputs, [])),
    error_of(lambda: model.get_inputs()[0].set_data_from_numpy(np.zeros(3))),
]
with open(sys.argv[2], "w") as file:
    json.dump([told, errors], file)
"""


def _told(python: str, module: str, folder: Path) -> tuple[list[object], list[list[str]]]:
    script, result = folder / f"with_{module}.py", folder / f"with_{module}.json"
    script.write_text(_SCRIPT.replace("{module}", module))
    command = [python, str(script), str(DATA / "ms" / "a_res.ms"), str(result)]
    environment = {"PYTHONPATH": str(PACKAGES)} if module == "lite_runtime" else {}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    told, errors = json.loads(result.read_text())
    return told, errors


def test_same_script(tmp_path: Path) -> None:
    python = mindspore_lite_python()
    assert python is not None
    theirs, their_errors = _told(python, "mindspore_lite", tmp_path)
    ours, our_errors = _told(sys.executable, "lite_runtime", tmp_path)
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs):
        if isinstance(other, list) and len(other) == 7:
            assert mine[:-1] == other[:-1]  # type: ignore[index]
            assert_close(np.array(mine[-1]), np.array(other[-1]), 1e-5)  # type: ignore[index]
        else:
            assert mine == other
    # Errors are of the same kind; some of ours are of a second kind too.
    for mine, other in zip(our_errors, their_errors):
        assert set(other) <= set(mine)
        assert mine
