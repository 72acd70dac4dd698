"""Exports mindcv networks to MindIR, with inputs and MindSpore's own outputs recorded beside them.

    python mindcv_export.py DIR NAME...      writes DIR/NAME.mindir and DIR/NAME.npz

Runs in a Python with mindcv==0.3.0 (pip install --no-deps) and either mindspore==2.0.0 (Python 3.9, with "numpy<1.25"
"protobuf<4" "pillow<10" "scipy<1.12"; writes MindIR version 1) or mindspore==2.10.0 (Python 3.11, with "numpy<2";
version 3). mindcv knows the older one best: some of its networks cannot be built, run or exported with the newer.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mindspore as ms
import numpy as np
from mindcv.models import create_model

# Where the name does not end in the size of the images.
SIZES = {"inception": 299, "xception": 299, "pnasnet": 331, "crossvit": 240, "cmt_tiny": 160}
SIZES.update(dict.fromkeys(("mobilevit", "swinv2", "edgenext", "halonet"), 256))


def image_size(name: str) -> int:
    last = name.rsplit("_", 1)[-1]
    if name.startswith("repmlp"):
        return int(name[-3:])
    for start, size in SIZES.items():
        if name.startswith(start):
            return size
    return int(last) if last in ("96", "128", "160", "192", "256", "384") else 224


def randomise(net: ms.nn.Cell, name: str) -> None:
    """Statistics of batch normalisations other than 0 and 1, so that it shows when they are left out."""
    random = np.random.RandomState(3)
    for parameter in net.get_parameters():
        kind = parameter.name.rsplit(".", 1)[-1]
        value = None
        if kind == "moving_mean":
            value = random.uniform(-0.1, 0.1, parameter.shape)
        elif kind == "moving_variance":
            value = random.uniform(0.8, 1.2, parameter.shape)
        elif kind == "gamma" and name.startswith(("skresnext", "visformer")):
            # With 1 its untrained sums grow until a change in the last bit of the input shows in the third digit.
            value = np.full(parameter.shape, 0.5)
        if value is not None:
            parameter.set_data(ms.Tensor(value.astype(np.float32)))


def export(name: str, folder: Path) -> None:
    ms.set_seed(1)
    np.random.seed(1)
    ms.set_context(mode=ms.PYNATIVE_MODE, device_target="CPU")
    net = create_model(name, pretrained=False)
    net.set_train(False)
    randomise(net, name)
    size = image_size(name)
    x = ms.Tensor(np.random.RandomState(0).randn(1, 3, size, size).astype(np.float32))
    try:
        outputs = net(x)
    except Exception:  # some networks run as graphs only
        ms.set_context(mode=ms.GRAPH_MODE)
        outputs = net(x)
    outputs = outputs if isinstance(outputs, (tuple, list)) else [outputs]
    np.savez(folder / f"{name}.npz", in0=x.asnumpy(), **{f"out{i:02d}": y.asnumpy() for i, y in enumerate(outputs)})
    ms.set_context(mode=ms.GRAPH_MODE)
    ms.export(net, x, file_name=str(folder / name), file_format="MINDIR")
    (folder / f"{name}.mindir").chmod(0o644)


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:]:
        try:
            export(name, folder)
            print(f"{name}: exported")
        except Exception as e:
            print(f"{name}: {type(e).__name__}: {str(e).strip().splitlines()[0]}")


if __name__ == "__main__":
    main()
