"""Made fakequant.mindir and fakequant.npz (an input and the parameters), with MindSpore 2.0.0.

MindSpore has no FakeQuant kernels for the CPU, so there is no recorded output.
"""

from __future__ import annotations

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn
from mindspore.ops.operations import _quant_ops as quant


class Net(nn.Cell):
    """A convolution with a range per channel, a dense layer, and activations with a range each."""

    def __init__(self) -> None:
        super().__init__()
        random = np.random.default_rng(3)
        weight = (random.standard_normal((8, 3, 3, 3)) * 0.3).astype(np.float32)
        reach = np.abs(weight).max(axis=(1, 2, 3))
        self.w = Parameter(Tensor(weight), name="conv.weight")
        self.wmin, self.wmax = Parameter(Tensor(-reach), name="conv.wmin"), Parameter(Tensor(reach), name="conv.wmax")
        self.xmin, self.xmax = self._end("x.min", -2.0), self._end("x.max", 3.0)
        self.ymin, self.ymax = self._end("y.min", 0.0), self._end("y.max", 6.0)
        self.conv = ms.ops.Conv2D(8, 3, pad_mode="same")
        options = {"num_bits": 8, "training": False}
        self.fw = quant.FakeQuantPerChannel(symmetric=True, narrow_range=True, channel_axis=0, **options)
        self.fx, self.fy = quant.FakeQuantPerLayer(**options), quant.FakeQuantPerLayer(**options)
        self.relu, self.flat, self.dense = ms.ops.ReLU(), ms.ops.Flatten(), nn.Dense(8 * 6 * 6, 5)

    @staticmethod
    def _end(name: str, value: float) -> Parameter:
        return Parameter(Tensor(np.array([value], np.float32)), name=name)

    def construct(self, x: Tensor) -> Tensor:
        x = self.fx(x, self.xmin, self.xmax)
        y = self.relu(self.conv(x, self.fw(self.w, self.wmin, self.wmax)))
        return self.dense(self.flat(self.fy(y, self.ymin, self.ymax)))


net = Net()
net.set_train(False)
ms.export(net, Tensor(np.zeros((1, 3, 6, 6), np.float32)), file_name="fakequant.mindir", file_format="MINDIR")
x = np.random.default_rng(5).standard_normal((1, 3, 6, 6)).astype(np.float32) * 2
np.savez("fakequant.npz", in0=x, **{p.name: p.asnumpy() for p in net.get_parameters()})
