# ruff: noqa: SIM108 (branches are what these nets are about)
"""Exports nets with control flow and recurrent layers, with MindSpore's own answers in graph mode.

usage: export_control.py OUTPUT.zip      (MindSpore 2.0.0 writes v1.zip, 2.10.0 v3.zip)
Each net becomes NAME.mindir and NAME.npz for inputs that take one way through it, and NAME_2.npz for another.
"""

import io
import sys
import tempfile
import zipfile
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops


class IfWithWeights(nn.Cell):
    """Both branches have weights of their own."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, has_bias=True)
        self.a, self.b = nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 1)

    def construct(self, x, n):
        x = self.conv(x)
        if n > 2:
            x = ops.relu(self.a(x))
        else:
            x = self.b(x) - 1
        return x * 2


class NestedIf(nn.Cell):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Dense(6, 6), nn.Dense(6, 6), nn.Dense(6, 6)

    def construct(self, x, n):
        if n > 2:
            y = self.a(x)
            if x.sum() > 0:
                y = self.b(y)
            else:
                y = y * 3
        else:
            y = self.c(x)
        return y + x


class WhileWithWeights(nn.Cell):
    def __init__(self):
        super().__init__()
        self.layer = nn.Dense(6, 6)

    def construct(self, x, n):
        i = n * 0
        while i < n:
            x = ops.tanh(self.layer(x))
            i = i + 1
        return x, i


class IfInWhile(nn.Cell):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Dense(6, 6), nn.Dense(6, 6)

    def construct(self, x, n):
        i = n * 0
        while i < n:
            if x.sum() > i:
                x = ops.tanh(self.a(x))
            else:
                x = ops.relu(self.b(x)) + 0.5
            i = i + 1
        return x


class WhileInWhile(nn.Cell):
    def __init__(self):
        super().__init__()
        self.layer = nn.Dense(6, 6)

    def construct(self, x, n):
        i = n * 0
        while i < n:
            j = n * 0
            while j < i + 1:
                x = ops.tanh(self.layer(x))
                j = j + 1
            x = x + i
            i = i + 1
        return x


class WhileInIf(nn.Cell):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Dense(6, 6), nn.Dense(6, 6)

    def construct(self, x, n):
        if n > 2:
            i = n * 0
            while i < n:
                x = ops.tanh(self.a(x))
                i = i + 1
        else:
            x = self.b(x)
        return x * 0.5


class Gru(nn.Cell):
    def __init__(self):
        super().__init__()
        self.layer = nn.GRU(4, 3, 2, bidirectional=True)

    def construct(self, x):
        return self.layer(x)


class Rnn(nn.Cell):
    def __init__(self):
        super().__init__()
        self.layer = nn.RNN(4, 3, 2, nonlinearity="relu", batch_first=True, bidirectional=True)

    def construct(self, x):
        return self.layer(x)


RANDOM = np.random.RandomState(7)
ROWS = [RANDOM.randn(2, 6).astype(np.float32), -np.abs(RANDOM.randn(2, 6)).astype(np.float32)]
IMAGE = RANDOM.randn(1, 3, 6, 5).astype(np.float32)
SEQUENCE = RANDOM.randn(5, 2, 4).astype(np.float32)
COUNTS = [np.array(4, np.int32), np.array(1, np.int32)]

NETS = {
    "if_with_weights": (IfWithWeights, [(IMAGE, COUNTS[0]), (IMAGE, COUNTS[1])]),
    "nested_if": (NestedIf, [(ROWS[0], COUNTS[0]), (ROWS[1], COUNTS[0])]),
    "while_with_weights": (WhileWithWeights, [(ROWS[0], COUNTS[0]), (ROWS[1], COUNTS[1])]),
    "if_in_while": (IfInWhile, [(ROWS[0], COUNTS[0]), (ROWS[1], COUNTS[0])]),
    "while_in_while": (WhileInWhile, [(ROWS[0], COUNTS[0]), (ROWS[1], COUNTS[1])]),
    "while_in_if": (WhileInIf, [(ROWS[0], COUNTS[0]), (ROWS[1], COUNTS[1])]),
    "gru": (Gru, [(SEQUENCE,), (-SEQUENCE,)]),
    "rnn": (Rnn, [(SEQUENCE,), (-SEQUENCE,)]),
}


def flat(value):
    return [a for v in value for a in flat(v)] if isinstance(value, (tuple, list)) else [value.asnumpy()]


def main() -> None:
    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED) as archive, tempfile.TemporaryDirectory() as folder:
        for name, (make, runs) in NETS.items():
            ms.set_seed(1)
            net = make()
            net.set_train(False)
            for number, inputs in enumerate(runs):
                outputs = flat(net(*map(Tensor, inputs)))
                recording = io.BytesIO()
                arrays = {f"in{i}": a for i, a in enumerate(inputs)}
                np.savez(recording, **arrays, **{f"out{i:02d}": a for i, a in enumerate(outputs)})
                archive.writestr(f"{name}{'_2' if number else ''}.npz", recording.getvalue())
            ms.export(net, *map(Tensor, runs[0]), file_name=f"{folder}/{name}", file_format="MINDIR")
            archive.write(Path(folder) / f"{name}.mindir", f"{name}.mindir")
            print(name)


if __name__ == "__main__":
    main()
