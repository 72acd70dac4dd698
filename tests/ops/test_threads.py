"""Any number of threads gives the same bits: work is cut by results, never within a sum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from harness import run_op

RNG = np.random.default_rng(12)


def uniform(*shape: int) -> np.ndarray:
    return RNG.uniform(-1, 1, shape).astype(np.float32)


SAME = {"pad_mode": "SAME"}
CASES: list[tuple[str, list[np.ndarray], dict[str, Any]]] = [
    ("Conv2DFusion", [uniform(2, 30, 31, 24), uniform(40, 1, 1, 24), uniform(40)], {"activation_type": "SWISH"}),
    ("Conv2DFusion", [uniform(1, 30, 31, 3), uniform(40, 3, 3, 3), uniform(40)], {**SAME, "stride": [2, 2]}),
    ("Conv2DFusion", [uniform(1, 30, 31, 40), uniform(48, 3, 3, 40)], SAME),
    ("Conv2DFusion", [uniform(1, 30, 31, 40), uniform(40, 5, 5, 10)], {**SAME, "group": 4}),
    ("Conv2DFusion", [uniform(1, 30, 31, 40), uniform(40, 5, 5, 1)], {**SAME, "group": 40}),
    ("Conv2dTransposeFusion", [uniform(1, 15, 16, 40), uniform(40, 4, 4, 24)], {**SAME, "stride": [2, 2]}),
    ("Conv2dTransposeFusion", [uniform(1, 15, 16, 40), uniform(40, 4, 4, 1)], {**SAME, "stride": [2, 2], "group": 40}),
    ("MatMulFusion", [uniform(1, 700), uniform(700, 900), uniform(900)], {}),
    ("MatMulFusion", [uniform(6, 1, 200), uniform(6, 300, 200)], {"transpose_b": True}),
    ("MatMulFusion", [uniform(6, 50, 60), uniform(6, 60, 70)], {"activation_type": "RELU"}),
    ("MaxPoolFusion", [uniform(2, 30, 31, 24)], {"kernel_size": [3, 3], "strides": [2, 2], **SAME}),
    ("AvgPoolFusion", [uniform(2, 30, 31, 24)], {"kernel_size": [3, 3], "strides": [1, 1], **SAME}),
    ("FusedBatchNorm", [uniform(1, 50, 50, 24), *(uniform(24) + 2 for _ in range(4))], {}),
    ("LayerNormFusion", [uniform(200, 300)], {"begin_norm_axis": -1}),
    ("InstanceNorm", [uniform(2, 50, 50, 150)], {}),
    ("GroupNormFusion", [uniform(2, 40, 500)], {"num_groups": 8}),
    ("Softmax", [uniform(2, 70, 900)], {"axis": [1]}),
    ("Softmax", [uniform(200, 300)], {"axis": [-1]}),
    ("LRN", [uniform(1, 30, 30, 64)], {"depth_radius": 2, "alpha": 0.1, "beta": 0.75, "bias": 1.0}),
    ("Activation", [uniform(300, 301)], {"activation_type": "GELU"}),
    ("PReLUFusion", [uniform(1, 90, 90, 7), uniform(7)], {}),
    ("Resize", [uniform(1, 30, 31, 24)], {"method": "LINEAR", "new_height": 47, "new_width": 80}),
    ("LSTM", [uniform(9, 8, 40), uniform(1, 256, 40), uniform(1, 256, 64), uniform(1, 512)], {}),
]


@pytest.mark.parametrize("held", [False, True], ids=["fed", "constant weights"])
@pytest.mark.parametrize(("op", "inputs", "attrs"), CASES, ids=[f"{i}-{case[0]}" for i, case in enumerate(CASES)])
def test_same_bits(op: str, inputs: list[np.ndarray], attrs: dict[str, Any], held: bool) -> None:
    constant = range(1, len(inputs)) if held else ()
    (alone,) = run_op(op, inputs, attrs, constant=constant)
    for threads in (2, 3, 4):
        (shared,) = run_op(op, inputs, attrs, constant=constant, threads=threads, repeats=3)
        np.testing.assert_array_equal(shared, alone)
