"""A MindIR with more than 1 GiB of separate weights is converted in memory for one copy of them: the written file's.

The sources are mostly holes in a sparse file; the converted file is not, so these tests are marked `large`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import DATA

import lite_runtime
from converter.importers.mindir.proto import Message, message_class

_WIDTH, _LAYERS = 8192, 5
_FACTORS = np.array([0.5, 1.5, 2, -1, 3], np.float32)
_BYTES = 4 * _WIDTH * _WIDTH
# A file of weights begins with its byte order (1: little-endian), padded.
_HEADER = 64
# Python, NumPy and the graph beside the weights.
_OVERHEAD = 384 << 20

# Private writable memory is limited, which neither the mapped source nor shared libraries are part of.
_CONVERT = """
import resource, sys
import converter
limit = int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
print(converter.convert(sys.argv[1], sys.argv[2]).notes)
"""


def _large_net(folder: Path) -> Path:
    """x [1, width], multiplied by one matrix per layer; all of it but a few weights is zero."""
    folder.mkdir()
    model: Message = message_class("ModelProto").FromString((DATA / "mindir_v1" / "mm.mindir").read_bytes())
    graph = model.graph
    product = next(n for n in graph.node if "MatMul" in n.op_type and n.input[0] == graph.input[0].name)
    parameter = graph.parameter[0]
    nodes, parameters, name = [], [], graph.input[0].name
    for layer in range(_LAYERS):
        node, weight = type(product)(), type(parameter)()
        node.CopyFrom(product)
        weight.CopyFrom(parameter)
        weight.ClearField("raw_data")
        weight.name, weight.dims[:] = f"w{layer}", [_WIDTH, _WIDTH]
        weight.external_data.location = "weights/data_0"
        weight.external_data.offset, weight.external_data.length = _HEADER + layer * _BYTES, _BYTES
        node.input[:], node.output[0] = [name, weight.name], f"y{layer}"
        name = node.output[0]
        nodes.append(node)
        parameters.append(weight)
    for field, items in ((graph.node, nodes), (graph.parameter, parameters)):
        del field[:]
        field.extend(items)
    del graph.input[1:]
    graph.input[0].tensor[0].dims[:] = [1, _WIDTH]
    graph.output[0].CopyFrom(graph.input[0])
    graph.output[0].name = name
    _write_weights(folder / "weights" / "data_0")
    path = folder / "net_graph.mindir"
    path.write_bytes(model.SerializeToString())
    return path


def _write_weights(path: Path) -> None:
    path.parent.mkdir()
    with path.open("wb") as file:
        file.write(b"\x01")
        file.truncate(_HEADER + _LAYERS * _BYTES)
        for layer in range(_LAYERS):
            for i in range(16):
                file.seek(_HEADER + layer * _BYTES + 4 * i * (_WIDTH + 1))
                file.write(_FACTORS[layer].tobytes())


@pytest.mark.large
def test_weights_are_in_memory_once(tmp_path: Path) -> None:
    source, output = _large_net(tmp_path / "net"), tmp_path / "net.ms"
    limit = _LAYERS * _BYTES + _OVERHEAD
    try:
        done = subprocess.run(
            [sys.executable, "-c", _CONVERT, str(source), str(output), str(limit)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert "not checked: a second copy" in done.stdout
        assert output.stat().st_size > _LAYERS * _BYTES > 1 << 30
        x = np.random.default_rng(2).standard_normal((1, _WIDTH), np.float32)
        expected = np.where(np.arange(_WIDTH) < 16, x * np.prod(_FACTORS), 0)
        np.testing.assert_allclose(lite_runtime.load(output)(x), expected, rtol=1e-6)
    finally:
        for path in tmp_path.rglob("*"):
            if path.stat().st_size > 1 << 30:
                path.unlink()
