"""What the MindIR importer builds: operators, layouts, names, weights, sub-graphs."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from mindir_nets import find, read
from support import CORPUS, DATA

from converter.errors import UnsupportedError
from converter.importers.mindir import load
from converter.importers.mindir.proto import message_class
from converter.importers.mindir.wire import split_weights
from converter.ir.graph import Model
from lite_runtime.types import DataType


def _counts(model: Model) -> Counter[str]:
    return Counter(node.op for graph in model.graphs for node in graph.nodes)


_ALL = sorted(p.stem for p in (DATA / "mindir_v1").glob("*.mindir"))


@pytest.mark.parametrize("name", _ALL)
def test_every_value_stands_on_its_own(name: str) -> None:
    """Nodes read what was made before them; results have names, types where the file tells them."""
    model = read(find(f"v1/{name}"))
    for graph in model.graphs:
        known = set(graph.inputs)
        for node in graph.nodes:
            assert all(v.is_const or v in known for v in node.inputs)
            known.update(node.outputs)
        assert graph.outputs
        assert all(v.is_const or v in known for v in graph.outputs)
    names = [node.name for graph in model.graphs for node in graph.nodes]
    assert len(names) == len(set(names))


def test_convolution_net() -> None:
    model = read(find("v1/cnn"))
    assert _counts(model) == {
        "Transpose": 18,
        "Conv2DFusion": 3,
        "FusedBatchNorm": 1,
        "Activation": 2,
        "AddFusion": 1,
        "BiasAdd": 3,
        "Conv2dTransposeFusion": 1,
        "MaxPoolFusion": 1,
        "AvgPoolFusion": 1,
        "Flatten": 1,
        "MatMulFusion": 1,
        "Softmax": 1,
    }
    first = next(node for node in model.main.nodes if node.op == "Conv2DFusion")
    assert first.name == "Default/c-Conv2d/Conv2D-op50"
    assert first.attrs == {
        "format": "NHWC",
        "kernel_size": [3, 3],
        "stride": [2, 2],
        "dilation": [1, 1],
        "pad_mode": "PAD",
        "pad_list": [1, 1, 1, 1],
        "mode": 1,
        "group": 1,
        "in_channel": 3,
        "out_channel": 16,
    }
    weight = first.inputs[1]
    assert (weight.name, weight.shape) == ("c.weight", (16, 3, 3, 3))
    depthwise = model.main.nodes[[n.name for n in model.main.nodes].index("Default/dw-Conv2d/Conv2D-op60")]
    assert (depthwise.attr("group"), depthwise.inputs[1].shape) == (16, (16, 3, 3, 1))


def test_both_dialects_give_the_same_graph() -> None:
    """MindSpore 2.0.0 writes parameters as attributes, 2.10.0 as trailing inputs and enums as numbers."""
    old, new = read(find("v1/cnn")), read(find("v3/cnn"))
    assert [(n.op, n.attrs) for n in old.main.nodes] == [(n.op, n.attrs) for n in new.main.nodes]


def test_names_of_inputs_and_outputs() -> None:
    model = read(find("v1/multi"))
    assert [v.name for v in model.main.inputs] == ["x", "y"]
    assert model.main.outputs[0].name == "Default/Sub-op2322"
    conv = read(find("v1/a_res"))
    assert [v.name for v in conv.main.outputs] == ["Default/ReLU-op51"]
    assert conv.main.inputs[0].shape == (1, 3, 8, 8)


def test_types_and_shapes_come_from_the_file() -> None:
    model = read(find("v1/dyn"))
    assert model.main.inputs[0].shape == (-1, 3, -1, -1)
    (output,) = model.main.outputs
    assert (output.dtype, output.shape) == (DataType.FLOAT32, (-1, 5))


def test_one_expression_returned_twice() -> None:
    outputs = read(find("v1/a_io")).main.outputs
    assert len(outputs) == 3
    assert outputs[0] is outputs[2]


def test_branches_share_weights_as_constants() -> None:
    model = read(find("v1/ifnet"))
    assert [len(graph.inputs) for graph in model.graphs] == [2, 1, 1]
    assert _counts(model)["PartialFusion"] == 2
    switch = next(node for node in model.main.nodes if node.op == "Switch")
    partials = [value.producer for value in switch.inputs[1:]]
    assert [p.attr("sub_graph_index") for p in partials if p is not None] == [1, 2]
    for graph, weight in zip(model.graphs[1:], ("a.weight", "b.weight")):
        product = next(node for node in graph.nodes if node.op == "MatMulFusion")
        assert (product.inputs[1].name, product.inputs[1].is_const) == (weight, True)


def test_loops_call_themselves_at_their_end() -> None:
    model = read(find("v3/whilenet"))
    calls = {graph.name: [n.attr("is_tail_call") for n in graph.nodes if n.op == "Call"] for graph in model.graphs}
    assert list(calls.values()) == [[False], [True], [True], []]
    after = model.graphs[3]
    assert after.inputs == after.outputs


def test_obfuscation_is_just_control_flow() -> None:
    model = read(find("v1/cnn_obf"))
    assert len(model.graphs) == 9
    assert len(model.main.inputs) == 2


@pytest.mark.corpus
def test_external_weights_stay_in_their_file() -> None:
    model = load(CORPUS / "mindir_v1" / "external_data" / "ext_graph.mindir")
    weights = {v.name: v.data for node in model.main.nodes for v in node.inputs if v.name.endswith("weight")}
    assert len(weights) == 5
    for data in weights.values():
        assert data is not None
        assert not data.flags.owndata
        assert not data.flags.writeable


@pytest.mark.parametrize("name", ["v1/wide", "v3/cnn", "v1/ifnet"])
def test_weights_are_views_of_the_file(name: str) -> None:
    """Split off before parsing and never copied; what is parsed differs from the file in nothing else."""
    data = memoryview(find(name).read_bytes())
    skeleton, weights = split_weights(data)
    whole = message_class("ModelProto").FromString(bytes(data))
    parsed = message_class("ModelProto").FromString(skeleton)
    assert [bytes(w) for w in weights if w is not None] == [p.raw_data for p in whole.graph.parameter]
    for parameter in whole.graph.parameter:
        parameter.ClearField("raw_data")
    assert parsed == whole
    arrays = [v.data for g in read(find(name)).graphs for n in g.nodes for v in n.inputs if v.name.endswith(".weight")]
    assert arrays
    for array in arrays:
        assert array is not None
        assert not array.flags.owndata
        assert not array.flags.writeable


def test_doubtful_bytes_are_left_to_protobuf() -> None:
    """Splitting never decides that a file is damaged."""
    for data in (b"", b"\x3a", b"\x3a\x7f", b"\xff" * 20, b"\x0b\x0c", b"\x3a\x00\x3a\x00"):
        assert split_weights(memoryview(data)) == (data, [])


def test_all_problems_are_listed_at_once(tmp_path) -> None:
    """Renaming operators to ones that do not exist: every node is named, also those behind another."""
    model = message_class("ModelProto").FromString(find("v1/cnn").read_bytes())
    renamed = {"ReLU6": "NoSuchOp", "MaxPool": "NorThisOne", "Softmax": "NorThat"}
    for primitive in model.primitives:
        primitive.op_type = renamed.get(primitive.op_type, primitive.op_type)
    path = tmp_path / "net.mindir"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UnsupportedError) as caught:
        load(path)
    assert [p.op for p in caught.value.problems] == ["NoSuchOp", "NorThisOne", "NorThat"]


def test_training_batch_norm_is_refused(tmp_path) -> None:
    model = message_class("ModelProto").FromString(find("v1/cnn").read_bytes())
    for primitive in model.primitives:
        for attribute in primitive.attribute:
            if attribute.name == "is_training":
                attribute.i = 1
    path = tmp_path / "net.mindir"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UnsupportedError, match="set_train") as caught:
        load(path)
    assert caught.value.problems[0].attribute == "is_training"


def test_brain_floats_widen(tmp_path) -> None:
    """bfloat16 is the upper half of float32; weights of that type become float32 without a change of value."""
    model = message_class("ModelProto").FromString(find("v1/wide").read_bytes())
    parameter = next(p for p in model.graph.parameter if len(p.dims) == 2)
    whole = np.frombuffer(parameter.raw_data, np.uint32)
    parameter.raw_data = (whole >> 16).astype(np.uint16).tobytes()
    parameter.data_type = 16
    path = tmp_path / "net.mindir"
    path.write_bytes(model.SerializeToString())
    graph = load(path).main
    found = next(v for n in graph.nodes for v in n.inputs if v.name == parameter.ref_key)
    assert found.data is not None
    assert found.dtype == DataType.FLOAT32
    np.testing.assert_array_equal(found.data.ravel().view(np.uint32), whole & 0xFFFF0000)


def test_quantised_weights_are_refused(tmp_path) -> None:
    model = message_class("ModelProto").FromString(find("v1/wide").read_bytes())
    model.graph.parameter[0].quant_params.add().quant_algo_name = "linear_quant"
    path = tmp_path / "net.mindir"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UnsupportedError, match="quantised"):
        load(path)
