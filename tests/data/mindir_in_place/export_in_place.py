"""Exports nets that change tensors in place, with MindSpore 2.10's own answers in graph mode.

usage: export_in_place.py OUTPUT.zip
Each net becomes NAME.mindir and NAME.npz (in0, in1 and out00, out01, ...) in the archive.
"""

import io
import sys
import tempfile
import zipfile
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Tensor, mint, nn, ops


class OldValueIsRead(nn.Cell):
    def construct(self, x, y):
        a = ops.relu(x)
        b = a * 2
        a += y
        return a + b


class OtherNames(nn.Cell):
    def construct(self, x, y):
        a = ops.relu(x)
        b = a
        pair = (a, y)
        a += y
        return b * 3 + a, pair[0] * 2


class OfAnInput(nn.Cell):
    def construct(self, x, y):
        for _ in range(3):
            x += y
        return x


class ViewBefore(nn.Cell):
    def construct(self, x, y):
        a = ops.relu(x)
        b = a.reshape(3, 2)
        a += y
        return b * 2


class Between(nn.Cell):
    def construct(self, x, y):
        a = ops.relu(x)
        b = ops.sin(a)
        a += y
        c = ops.cos(a)
        a += c
        return b, c, a


class Operators(nn.Cell):
    def construct(self, x, y):
        a = ops.relu(x)
        a += 2
        a += y[0]
        a -= y
        a -= 0.5
        a *= y
        a *= 1.5
        a /= y + 3
        a /= 2.5
        b = ops.abs(x)
        b //= y
        c = ops.abs(x)
        c //= 0.2
        d = ops.abs(x)
        d %= y
        e = ops.abs(x)
        e %= 0.3
        return a, b, c, d, e


class Methods(nn.Cell):
    def construct(self, x, y):
        a = ops.abs(x)
        a.add_(y, alpha=2)
        a.sub_(y, alpha=3)
        a.mul_(y)
        b = ops.abs(x)
        b.copy_(y)
        c = ops.abs(x)
        c.copy_(y[0])
        return a, b, c


class Types(nn.Cell):
    def construct(self, x, y):
        a = ops.abs(x).astype(ms.int32)
        a += 2
        a *= 3
        b = ops.abs(x)
        b += y.astype(ms.int32)
        return a, b


class Slice(nn.Cell):
    def construct(self, x, y):
        a = ops.relu(x)
        a[0] += y[1]
        return a * 2


class Branches(nn.Cell):
    def construct(self, x, y):
        a = ops.relu(x)
        if ops.reduce_sum(x) > 0:
            a += y
        else:
            a -= y
        return a * 2


class Loop(nn.Cell):
    def construct(self, x, y):
        a = ops.relu(x)
        i = ops.reduce_sum(a).astype(ms.int32)
        while i > 0:
            a += y
            i = i - 1
        return a


class SeenThroughView(nn.Cell):
    def construct(self, x, y):
        a = ops.relu(x)
        b = mint.transpose(a, 0, 1)
        a += y
        return b * 2


class OfAWeight(nn.Cell):
    def __init__(self):
        super().__init__()
        self.w = ms.Parameter(np.ones((2, 3), np.float32), name="w")

    def construct(self, x, y):
        self.w += x
        return self.w + y


def main(output):
    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    arrays = [np.random.RandomState(seed).randn(2, 3).astype(np.float32) for seed in (0, 1)]
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        for net in nn.Cell.__subclasses__():
            if net.__module__ != __name__:
                continue
            answers = net()(*map(Tensor, arrays))
            answers = answers if isinstance(answers, tuple) else (answers,)
            recording = io.BytesIO()
            named = {f"out{i:02d}": answer.asnumpy() for i, answer in enumerate(answers)}
            np.savez(recording, in0=arrays[0], in1=arrays[1], **named)
            path = Path(folder) / f"{net.__name__}.mindir"
            ms.export(net(), *map(Tensor, arrays), file_name=str(path.with_suffix("")), file_format="MINDIR")
            archive.writestr(path.name, path.read_bytes())
            archive.writestr(f"{net.__name__}.npz", recording.getvalue())


main(sys.argv[1])
