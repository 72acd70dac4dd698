"""Chains of Transposes and reshapes become one movement."""

from __future__ import annotations

import numpy as np
import pytest

from converter.engine import evaluate, infer_shapes
from converter.ir.graph import Graph, Model, Value
from converter.ir.verify import verify
from converter.passes.movements import merge_movements
from lite_runtime.types import DataType


def step(graph: Graph, value: Value, op: str, values: list[int]) -> Value:
    name = f"n{len(graph.nodes)}"
    return graph.add(op, [value, graph.constant(f"{name}_c", np.array(values, np.int32))], name).output


def chain(shape: tuple[int, ...], *steps: tuple[str, list[int]]) -> Model:
    graph = Graph("main")
    value = graph.add_input("x", DataType.FLOAT32, shape)
    for op, values in steps:
        value = step(graph, value, op, values)
    graph.outputs = [value]
    model = Model([graph], "chain")
    infer_shapes(model)
    return model


def moved(model: Model) -> list[str]:
    """Merges; the answer and its name must stay."""
    x = np.arange(np.prod(model.main.inputs[0].shape or ()), dtype=np.float32).reshape(model.main.inputs[0].shape or ())
    expected, name = evaluate(model.main, [x])[0], model.main.outputs[0].name
    merge_movements(model.main)
    model.main.cleanup()
    verify(model)
    np.testing.assert_array_equal(evaluate(model.main, [x])[0], expected)
    assert model.main.outputs[0].name == name
    return [n.op for n in model.main.nodes]


def test_image_to_patches_is_one_transpose() -> None:
    """MobileViT's way from an image to sequences of patches."""
    model = chain(
        (1, 8, 8, 4),
        ("Transpose", [0, 3, 1, 2]),
        ("Reshape", [16, 2, 4, 2]),
        ("Transpose", [0, 2, 1, 3]),
        ("Reshape", [1, 4, 16, 4]),
        ("Transpose", [0, 3, 2, 1]),
        ("Reshape", [4, 16, 4]),
    )
    assert moved(model) == ["Reshape", "Transpose", "Reshape"]


def test_there_and_back_is_a_reshape() -> None:
    model = chain(
        (2, 6, 4), ("Transpose", [1, 0, 2]), ("Reshape", [6, 8]), ("Reshape", [6, 2, 4]), ("Transpose", [1, 0, 2])
    )
    assert "Transpose" not in moved(model)


def test_a_transpose_of_too_many_dimensions_loses_some() -> None:
    """Two dimensions have one element; of the others two groups change places."""
    model = chain((2, 3, 1, 2, 2, 1, 3), ("Transpose", [4, 6, 2, 0, 1, 5, 3]))
    assert moved(model) == ["Reshape", "Transpose", "Reshape"]
    assert model.main.nodes[1].inputs[0].shape == (12, 6)


def test_reshape_across_dimensions_is_left_alone() -> None:
    model = chain((5, 6), ("Transpose", [1, 0]), ("Reshape", [10, 3]), ("Transpose", [1, 0]))
    assert moved(model) == ["Transpose", "Reshape", "Transpose"]


def test_a_result_with_another_reader_ends_the_chain() -> None:
    model = chain((2, 3, 4), ("Transpose", [1, 0, 2]), ("Reshape", [3, 8]), ("Transpose", [1, 0]))
    graph = model.main
    graph.outputs.append(graph.nodes[1].output)
    assert moved(model) == ["Transpose", "Reshape", "Transpose"]


@pytest.mark.parametrize("seed", range(60))
def test_random_chains(seed: int) -> None:
    rng = np.random.default_rng(seed)
    start = shape = [int(d) for d in rng.choice([1, 2, 3, 4], 4)]
    steps: list[tuple[str, list[int]]] = []
    for _ in range(6):
        if rng.random() < 0.5:
            perm = [int(p) for p in rng.permutation(len(shape))]
            steps.append(("Transpose", perm))
            shape = [shape[axis] for axis in perm]
        else:
            shape = random_shape(rng, int(np.prod(shape)))
            steps.append(("Reshape", shape))
    ops = moved(chain(tuple(start), *steps))
    before = sum(op == "Transpose" for op, _ in steps)
    assert ops.count("Transpose") <= before


def random_shape(rng: np.random.Generator, count: int) -> list[int]:
    """A random factorisation."""
    shape = []
    while count > 1 and len(shape) < 4:
        divisors = [d for d in range(2, count + 1) if count % d == 0]
        shape.append(int(rng.choice(divisors)))
        count //= shape[-1]
    return [*shape, count]
