"""What the exporter writes, field by field, and how files reach the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converter.errors import InvalidGraphError, OutputError
from converter.exporter import export, write
from converter.importers import ms
from converter.importers.layout import to_channels_first
from converter.ir.graph import Graph, Model, QuantParam, Value
from lite_runtime.types import DataType


def typed(value: Value, shape: tuple[int, ...] | None, dtype: DataType = DataType.FLOAT32) -> Value:
    value.shape, value.dtype = shape, dtype
    return value


def convolution() -> Model:
    """x [1,8,8,3] -> Conv2DFusion -> Transpose to NCHW, with a scalar added."""
    graph = Graph("main")
    x = graph.add_input("x", DataType.FLOAT32, (1, 8, 8, 3))
    weight = graph.constant("weight", np.arange(4 * 9 * 3, dtype=np.float32).reshape(4, 3, 3, 3))
    attrs = {"kernel_size": [3, 3], "stride": [1, 1], "dilation": [1, 1], "pad_list": [1, 1, 1, 1]}
    conv = graph.add(
        "Conv2DFusion", [x, weight], "conv", pad_mode="SAME", group=1, in_channel=3, out_channel=4, **attrs
    )
    one = graph.constant("one", np.float32(1).reshape(()))
    added = graph.add("AddFusion", [typed(conv.output, (1, 8, 8, 4)), one], "add")
    result = to_channels_first(graph, typed(added.output, (1, 8, 8, 4)), 4, "add")
    graph.outputs = [typed(result, (1, 4, 8, 8))]
    return Model([graph], "test")


def tables(data: bytes) -> dict[str, Any]:
    file = ms._File(memoryview(data), "test")
    return file.table("MetaGraph", file.reference(0))


def test_same_model_gives_the_same_bytes() -> None:
    assert export(convolution()) == export(convolution())


def test_container_fields() -> None:
    data = export(convolution())
    assert data[4:8] == b"MSL2"
    meta = tables(data)
    assert meta["fmkType"] == 3
    names = [t["name"] for t in meta["allTensors"]]
    assert [names[i] for i in meta["inputIndex"]] == ["x"]
    assert [names[i] for i in meta["outputIndex"]] == ["add_post"]
    (subgraph,) = meta["subGraph"]
    assert subgraph["name"] == "subgraph_0_main_graph"
    assert (subgraph["inputIndices"], subgraph["outputIndices"]) == (meta["inputIndex"], meta["outputIndex"])
    assert subgraph["nodeIndices"] == [0, 1, 2]
    assert "version" not in meta
    assert all("deviceType" not in node and "nodeType" not in node for node in meta["nodes"])


def test_tensor_fields() -> None:
    tensors = {t["name"]: t for t in tables(export(convolution()))["allTensors"]}
    assert tensors["x"]["nodeType"] == 2
    assert tensors["x"]["dims"] == [1, 8, 8, 3]
    assert "nodeType" not in tensors["weight"], "constants are 0, the default"
    assert tensors["weight"]["dataType"] == 43
    assert "dims" not in tensors["one"], "scalars have no dims"
    assert len(tensors["one"]["data"]) == 4
    assert [tensors[n].get("format", "NCHW") for n in ("x", "weight", "conv", "add")] == ["NHWC"] * 4
    assert "format" not in tensors["add_post"], "NCHW, the default"


def test_default_attributes_are_omitted_and_enumerations_are_numbers() -> None:
    op, attrs = tables(export(convolution()))["nodes"][0]["primitive"]["value"]
    assert op == "Conv2DFusion"
    assert attrs["pad_mode"] == "SAME"
    assert "activation_type" not in attrs


def test_constants_are_aligned() -> None:
    data = bytes(export(convolution()))
    weight = np.arange(4 * 9 * 3, dtype=np.float32).tobytes()
    assert data.find(weight) % 16 == 0


def test_unknown_dimensions_stand_on_inputs_only() -> None:
    model = convolution()
    typed(model.main.inputs[0], (-1, 8, 8, 3))
    typed(model.main.nodes[0].output, (-1, 8, 8, 4))
    tensors = {t["name"]: t for t in tables(export(model))["allTensors"]}
    assert tensors["x"]["dims"] == [-1, 8, 8, 3]
    assert "dims" not in tensors["conv"]


def test_input_that_is_only_transposed_to_nhwc_is_nchw() -> None:
    graph = Graph("main")
    x = graph.add_input("x", DataType.FLOAT32, (1, 3, 8, 8))
    perm = graph.constant("perm", np.array([0, 2, 3, 1], np.int32))
    graph.outputs = [typed(graph.add("Transpose", [x, perm], "t").output, (1, 8, 8, 3))]
    tensors = {t["name"]: t.get("format", "NCHW") for t in tables(export(Model([graph])))["allTensors"]}
    assert (tensors["x"], tensors["t"]) == ("NCHW", "NHWC")


def test_quantisation_parameters_are_written() -> None:
    model = convolution()
    weight = model.main.nodes[0].inputs[1]
    weight.quant = [QuantParam(0.5, 3, narrow_range=False, var_corr=1.5)] * 4
    again = ms.parse(export(model), "again").main.nodes[0].inputs[1]
    assert again.quant == weight.quant


def test_every_attribute_of_every_operator_survives() -> None:
    """Each field of each primitive gets a value other than its default."""
    from converter.ir.graph import Node
    from converter.schema import Field, schema

    def sample(f: Field) -> Any:
        if f.kind == "vector":
            inner = Field(f.name, f.slot, f.element, None, table=f.table)
            return [sample(inner), sample(inner)]
        if f.kind == "table":
            if f.table == "Attribute":
                return {"name": "key", "data": b"value"}
            return [[1, 2], [3, 4]] if f.table == "Vec2D" else [5, 6]
        if f.enum is not None:
            return next(name for name in reversed(f.enum.values) if name != f.default)
        return {"string": "text", "bool": not f.default, "float": 2.5}.get(f.kind, 7)

    graph = Graph("main")
    x = graph.add_input("x", DataType.FLOAT32, (1,))
    for op in schema().primitives:
        attrs = {name: sample(f) for name, f in schema().tables[op].fields.items()}
        node = graph.add(op, [x], op, **attrs)
        node.output.dtype = DataType.FLOAT32
        graph.outputs.append(node.output)
    found: dict[str, Node] = {n.op: n for n in ms.parse(export(Model([graph])), "again").main.nodes}
    for node in graph.nodes:
        attrs = found[node.op].attrs
        for attribute in attrs.get("attr", []):
            attribute["data"] = bytes(attribute["data"])
        assert attrs == node.attrs, node.op


def test_values_that_share_a_name_are_told_apart() -> None:
    model = convolution()
    model.main.nodes[0].output.name = "x"
    names = [t["name"] for t in tables(export(model))["allTensors"]]
    assert len(set(names)) == len(names)
    assert "x" in names


def test_use_before_definition_is_refused() -> None:
    model = convolution()
    model.main.nodes.reverse()
    with pytest.raises(InvalidGraphError, match="reads 'add' before"):
        export(model)


def test_sub_graphs_share_constants() -> None:
    model = convolution()
    inner = Graph("inner")
    y = inner.add_input("y", DataType.FLOAT32, ())
    one = model.main.nodes[1].inputs[1]
    inner.outputs = [typed(inner.add("AddFusion", [y, one], "inner_add").output, ())]
    model.graphs.append(inner)
    again = ms.parse(export(model), "again")
    assert again.graphs[1].name == "subgraph_1_subgraph1"
    assert again.graphs[1].nodes[0].inputs[1] is again.main.nodes[1].inputs[1]


def test_write_replaces_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "model.ms"
    target.write_bytes(b"old")
    write(target, b"new")
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_write_fails_cleanly(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        write(tmp_path / "missing" / "model.ms", b"data")
    (tmp_path / "folder.ms").mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        write(tmp_path / "folder.ms", b"data")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.ms"]
