"""The ONNX importer on small models: structure, names, types, and every kind of refusal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from converter.errors import InvalidGraphError, SourceFileError, SourceFormatError, UnsupportedError
from converter.importers.onnx import load
from converter.ir.graph import Model
from lite_runtime.types import DataType

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def make(
    folder: Path, nodes: list[onnx.NodeProto],
    inputs: dict[str, tuple[int, list]], outputs: dict[str, tuple[int, list]],
    constants: dict[str, np.ndarray] | None = None, opset: int = 17, **extra: object,
) -> Path:  # fmt: skip
    """A model file."""
    graph = helper.make_graph(
        nodes, "graph",
        [helper.make_tensor_value_info(name, *of) for name, of in inputs.items()],
        [helper.make_tensor_value_info(name, *of) for name, of in outputs.items()],
        [numpy_helper.from_array(data, name) for name, data in (constants or {}).items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], **extra)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def operators(model: Model) -> list[str]:
    return [node.op for node in model.main.nodes]


def test_convolution_becomes_nhwc_between_transposes(tmp_path: Path) -> None:
    weights = np.arange(2 * 3 * 3 * 5, dtype=np.float32).reshape(2, 3, 3, 5)
    path = make(
        tmp_path,
        [helper.make_node("Conv", ["x", "w"], ["y"], "conv", pads=[1, 2, 0, 3], strides=[2, 1])],
        {"x": (FLOAT, [1, 3, 8, 9])}, {"y": (FLOAT, None)}, {"w": weights},
    )  # fmt: skip
    model = load(path)
    assert operators(model) == ["Transpose", "Conv2DFusion", "Transpose"]
    conv = model.main.nodes[1]
    assert np.array_equal(conv.inputs[1].data, weights.transpose(0, 2, 3, 1))
    assert conv.attr("pad_list") == [1, 0, 2, 3]
    assert conv.attr("stride") == [2, 1]
    assert (model.main.outputs[0].name, model.main.outputs[0].shape) == ("y", (1, 2, 4, 10))
    assert model.main.nodes[-1].source == "conv"


def test_inputs_and_outputs_keep_names_types_and_unknown_dimensions(tmp_path: Path) -> None:
    path = make(
        tmp_path, [helper.make_node("Relu", ["data"], ["result"])],
        {"data": (FLOAT, ["batch", 7])}, {"result": (FLOAT, ["batch", 7])},
    )  # fmt: skip
    graph = load(path).main
    assert [(v.name, v.dtype, v.shape) for v in graph.inputs] == [("data", DataType.FLOAT32, (-1, 7))]
    assert [(v.name, v.dtype, v.shape) for v in graph.outputs] == [("result", DataType.FLOAT32, (-1, 7))]


def test_known_shape_arithmetic_is_folded(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["batch"]),
        helper.make_node("Concat", ["batch", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["y"]),
    ]
    constants = {"zero": np.array([0], np.int64), "rest": np.array([-1], np.int64)}
    path = make(tmp_path, nodes, {"x": (FLOAT, [2, 3, 4])}, {"y": (FLOAT, None)}, constants)
    (reshape,) = load(path).main.nodes
    assert reshape.op == "Reshape"
    assert reshape.inputs[1].data.tolist() == [2, -1]
    assert reshape.output.shape == (2, 12)


def test_unknown_shape_arithmetic_stays(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["batch"]),
        helper.make_node("Concat", ["batch", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["y"]),
    ]
    constants = {"zero": np.array([0], np.int64), "rest": np.array([-1], np.int64)}
    path = make(tmp_path, nodes, {"x": (FLOAT, ["n", 3, 4])}, {"y": (FLOAT, None)}, constants)
    assert [op for op in operators(load(path)) if op != "Cast"] == ["Shape", "Gather", "Concat", "Reshape"]


def test_all_unsupported_nodes_are_listed_at_once(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("StringNormalizer", ["s"], ["t"], "strings"),
        helper.make_node("MaxPool", ["x"], ["p", "where"], "pool", kernel_shape=[2, 2]),
        helper.make_node("Frobnicate", ["p"], ["f"], "custom", domain="example.org"),
        helper.make_node("Relu", ["f"], ["y"]),
    ]
    path = make(
        tmp_path, nodes,
        {"s": (TensorProto.STRING, [1]), "x": (FLOAT, [1, 1, 4, 4])},
        {"t": (TensorProto.STRING, [1]), "where": (INT64, None), "y": (FLOAT, None)},
    )  # fmt: skip
    with pytest.raises(UnsupportedError) as caught:
        load(path)
    assert [(p.node, p.op) for p in caught.value.problems] == [
        ("s", "Input"), ("strings", "StringNormalizer"), ("pool", "MaxPool"), ("custom", "Frobnicate"),
    ]  # fmt: skip
    assert "output 1" in caught.value.problems[2].reason


def test_an_attribute_without_meaning_here_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("BatchNormalization", ["x", "s", "s", "s", "s"], ["y"], "bn", training_mode=1)
    path = make(
        tmp_path, [node], {"x": (FLOAT, [1, 2, 4])}, {"y": (FLOAT, None)}, {"s": np.ones(2, np.float32)}
    )  # fmt: skip
    with pytest.raises(UnsupportedError, match="BatchNormalization 'bn', attribute training_mode"):
        load(path)


def test_unused_nodes_do_not_matter(tmp_path: Path) -> None:
    nodes = [helper.make_node("Nonsense", ["x"], ["z"], domain="x"), helper.make_node("Relu", ["x"], ["y"])]
    path = make(tmp_path, nodes, {"x": (FLOAT, [1])}, {"y": (FLOAT, [1])})
    assert operators(load(path)) == ["Activation"]


def test_a_name_that_nothing_makes_is_an_invalid_model(tmp_path: Path) -> None:
    path = make(tmp_path, [helper.make_node("Relu", ["nowhere"], ["y"], "r")], {}, {"y": (FLOAT, [1])})
    with pytest.raises(InvalidGraphError, match="Relu 'r' reads 'nowhere'"):
        load(path)


@pytest.mark.parametrize("opset", [6, 1000])
def test_opsets_outside_the_range_are_refused(tmp_path: Path, opset: int) -> None:
    path = make(
        tmp_path, [helper.make_node("Relu", ["x"], ["y"])], {"x": (FLOAT, [1])}, {"y": (FLOAT, [1])}, opset=opset
    )
    with pytest.raises(UnsupportedError, match=f"opset {opset}"):
        load(path)


class TestFiles:
    @staticmethod
    def model(folder: Path, **entries: str) -> Path:
        """y = x * w with w stored as the entries say."""
        path = make(
            folder, [helper.make_node("Mul", ["x", "w"], ["y"])], {"x": (FLOAT, [4])}, {"y": (FLOAT, [4])},
            {"w": np.zeros(4, np.float32)},
        )  # fmt: skip
        model = onnx.load(path)
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)
        path.write_bytes(model.SerializeToString())
        return path

    def test_external_data_is_mapped(self, tmp_path: Path) -> None:
        weights = np.arange(8, dtype=np.float32)
        weights.tofile(tmp_path / "weights.bin")
        path = self.model(tmp_path, location="weights.bin", offset="16", length="16")
        value = load(path).main.nodes[0].inputs[1].data
        assert value.tolist() == [4, 5, 6, 7]
        assert not value.flags.writeable and not value.flags.owndata

    @pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname", "sub/../../weights.bin", ""])
    def test_external_data_stays_in_the_folder(self, tmp_path: Path, location: str) -> None:
        folder = tmp_path / "model"
        folder.mkdir()
        (tmp_path / "weights.bin").write_bytes(bytes(16))
        with pytest.raises(SourceFileError, match="outside the model's folder"):
            load(self.model(folder, location=location))

    def test_a_link_out_of_the_folder_is_refused(self, tmp_path: Path) -> None:
        folder = tmp_path / "model"
        folder.mkdir()
        (tmp_path / "weights.bin").write_bytes(bytes(16))
        (folder / "weights.bin").symlink_to(tmp_path / "weights.bin")
        with pytest.raises(SourceFileError, match="outside the model's folder"):
            load(self.model(folder, location="weights.bin"))

    @pytest.mark.parametrize("offset, length", [("0", "32"), ("-4", "16"), ("8", "16"), ("99999999999999999999", "16")])
    def test_external_ranges_are_checked(self, tmp_path: Path, offset: str, length: str) -> None:
        (tmp_path / "weights.bin").write_bytes(bytes(16))
        with pytest.raises((SourceFileError, SourceFormatError), match="'w'"):
            load(self.model(tmp_path, location="weights.bin", offset=offset, length=length))

    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(SourceFileError, match="cannot be read"):
            load(tmp_path / "none.onnx")

    @pytest.mark.parametrize("content", [b"", b"hello, world", bytes(100), b"\x3a\xff\xff\xff\xff\x0f"])
    def test_other_bytes(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "model.onnx"
        path.write_bytes(content)
        with pytest.raises(SourceFormatError, match=r"model\.onnx"):
            load(path)

    def test_every_truncation_is_an_error(self, tmp_path: Path) -> None:
        whole = make(
            tmp_path, [helper.make_node("Mul", ["x", "w"], ["y"])], {"x": (FLOAT, [300])}, {"y": (FLOAT, [300])},
            {"w": np.zeros(300, np.float32)},
        ).read_bytes()  # fmt: skip
        path = tmp_path / "cut.onnx"
        for size in range(0, len(whole), 7):
            path.write_bytes(whole[:size])
            with pytest.raises((SourceFormatError, InvalidGraphError, UnsupportedError)):
                load(path)

    def test_weights_are_views_of_the_file(self, tmp_path: Path) -> None:
        path = make(
            tmp_path, [helper.make_node("Mul", ["x", "w"], ["y"])], {"x": (FLOAT, [300])}, {"y": (FLOAT, [300])},
            {"w": np.arange(300, dtype=np.float32)},
        )  # fmt: skip
        value = load(path).main.nodes[0].inputs[1].data
        assert value.tolist() == list(range(300))
        assert not value.flags.owndata and not value.flags.writeable

    def test_a_weight_of_the_wrong_size_is_an_error(self, tmp_path: Path) -> None:
        path = make(
            tmp_path, [helper.make_node("Mul", ["x", "w"], ["y"])], {"x": (FLOAT, [300])}, {"y": (FLOAT, [300])},
            {"w": np.zeros(300, np.float32)},
        )  # fmt: skip
        model = onnx.load(path)
        model.graph.initializer[0].dims[0] = 301
        path.write_bytes(model.SerializeToString())
        with pytest.raises(SourceFormatError, match="'w' of shape"):
            load(path)
