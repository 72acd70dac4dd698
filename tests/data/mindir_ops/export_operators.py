"""Exports one small net for each row of operators.txt, with MindSpore's own answers.

usage: export_operators.py OUTPUT.zip    (with MindSpore 2.0.0 or 2.10.0; rows a version lacks are reported)
Each net becomes NAME.mindir and NAME.npz (in0, in1, ... and out00, out01, ...) in the archive.
"""

import io
import sys
import tempfile
import zipfile
from pathlib import Path

import mindspore as ms
import numpy as np

MODULE = """import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops
try:
    from mindspore import mint
except ImportError:
    pass
def _heads(y):
    y = y.reshape(y.shape[0], y.shape[1], 3, 2, 4).transpose(2, 0, 3, 1, 4)
    return ops.matmul(ops.softmax(ops.matmul(y[0], y[1].swapaxes(-1, -2)), -1), y[2])
class Net(nn.Cell):
    def __init__(self):
        super().__init__()
        {layers}
    def construct(self, {names}):
        return {results}
class Answers(Net):
    def construct(self, {names}):
        return {answers}
"""

RANDOM = np.random.RandomState(7)


def normal(*shape):
    return RANDOM.randn(*shape).astype(np.float32)


def positive(*shape):
    return np.abs(RANDOM.randn(*shape)).astype(np.float32) + np.float32(0.1)


def integers(values):
    return np.array(values, np.int32)


def numbers(values):
    return np.array(values, np.float32)


def unknown(axis, array):
    """The array, exported with an unknown size along the axis."""
    return axis, array


def flat(value):
    if isinstance(value, (tuple, list)):
        return [item for part in value for item in flat(part)]
    return [value.asnumpy() if isinstance(value, ms.Tensor) else np.array(value)]


def export(folder, name, inputs, layers, results, answers=""):
    made = [eval(text) for text in inputs.split("; ")]
    axes = [item[0] if isinstance(item, tuple) else None for item in made]
    arrays = [item[1] if isinstance(item, tuple) else item for item in made]
    layers = "; ".join(f"self.{layer}" for layer in layers.split("; ") if layer) or "pass"
    source = MODULE.format(
        layers=layers, names=", ".join("xyz"[: len(arrays)]), results=results, answers=answers or results
    )
    path = folder / f"net_{name}.py"
    path.write_text(source)
    sys.path.insert(0, str(folder))
    module = __import__(path.stem)
    net, reference = module.Net(), module.Answers()
    ms.load_param_into_net(reference, net.parameters_dict())
    net.set_train(False)
    reference.set_train(False)
    tensors = [ms.Tensor(array) for array in arrays]
    expected = flat(reference(*tensors))
    declared = [
        tensor
        if axis is None
        else ms.Tensor(shape=[None if i == axis else d for i, d in enumerate(tensor.shape)], dtype=tensor.dtype)
        for tensor, axis in zip(tensors, axes)
    ]
    ms.export(net, *declared, file_name=str(folder / name), file_format="MINDIR")
    recording = io.BytesIO()
    named = {f"in{i}": array for i, array in enumerate(arrays)}
    named.update({f"out{i:02d}": array for i, array in enumerate(expected)})
    np.savez(recording, **named)
    return (folder / f"{name}.mindir").read_bytes(), recording.getvalue()


def main(output):
    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        for line in Path(__file__).with_name("operators.txt").read_text().splitlines()[1:]:
            name, *columns = (part.strip() for part in line.split(" | "))
            ms.set_seed(1)
            try:
                model, recording = export(Path(folder), name, *columns)
            except Exception as error:  # an operator this version or device lacks
                print(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
                continue
            archive.writestr(f"{name}.mindir", model)
            archive.writestr(f"{name}.npz", recording)


if __name__ == "__main__":
    main(sys.argv[1])
