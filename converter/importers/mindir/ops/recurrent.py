"""Recurrent layers."""

from __future__ import annotations

from typing import Any

from converter.importers.mindir.faults import Refusal
from converter.importers.mindir.registry import op
from converter.importers.mindir.scope import Absent, Scope
from converter.ir.graph import Value


@op("LSTM")
def lstm(
    b: Scope,
    x: Value,
    h: Value,
    c: Value,
    weight: Value,
    *,
    input_size: int,
    hidden_size: int,
    num_layers: int = 1,
    has_bias: bool = True,
    bidirectional: bool = False,
    proj_size: int = 0,
) -> tuple[Any, ...]:
    """x [S, N, I]; ``weight`` holds all matrices and then all biases of all layers, flattened, as (n, 1, 1)."""
    if proj_size:
        raise Refusal(f"projected states (proj_size = {proj_size}) are not supported.", attribute="proj_size")
    y, h_n, c_n, *_ = b.add_many(
        "LSTM",
        *(x, h, c, weight),
        outputs=5,
        bidirectional=bidirectional,
        has_bias=has_bias,
        input_size=input_size,
        hidden_size=hidden_size,
        num_layers=num_layers,
    )
    return (y, h_n, c_n, Absent("the workspace of an LSTM"), Absent("the workspace of an LSTM"))
