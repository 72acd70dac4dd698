"""The pattern engine: what a rule may and may not match."""

from __future__ import annotations

import numpy as np
import pytest

from converter.ir.graph import Graph, QuantParam, Value
from converter.passes.pattern import Attr, Const, Op, Rule, Var, apply_rules, either, rule
from lite_runtime.types import DataType

Add = Op("AddFusion", commutative=True)
Sub = Op("SubFusion")
Mul = Op("MulFusion", commutative=True)
Abs = Op("Abs")
Neg = Op("Neg")
Swish = Op("Activation", activation_type="SWISH")
Concat = Op("Concat")
x, y, c = Var("x"), Var("y"), Const("c")

DOUBLE_NEGATION = rule("neg_neg", Neg(Neg(x)), x)
DIFFERENCE = rule("add_neg", Add(x, Neg(y)), Sub(x, y))


class Net:
    """A graph with two inputs."""

    def __init__(self, rank: int = 2) -> None:
        self.graph = Graph("main")
        self.a = self.graph.add_input("a", DataType.FLOAT32, (2,) * rank)
        self.b = self.graph.add_input("b", DataType.FLOAT32, (2,) * rank)
        self._count = 0

    def __call__(self, op: str, *inputs: Value | float | np.ndarray, **attrs: object) -> Value:
        self._count += 1
        values = [v if isinstance(v, Value) else self.constant(np.float32(v)) for v in inputs]
        value = self.graph.add(op, values, f"{op}{self._count}", **attrs).output
        value.dtype, value.shape = DataType.FLOAT32, self.a.shape
        return value

    def constant(self, data: np.ndarray) -> Value:
        self._count += 1
        return self.graph.constant(f"constant{self._count}", np.asarray(data, np.float32))

    def rewritten(self, r: Rule, *outputs: Value) -> list[str]:
        self.graph.outputs = list(outputs)
        apply_rules(self.graph, [r])
        self.graph.cleanup()
        return [n.op for n in self.graph.nodes]


def test_operands_of_commutative_operators_may_stand_either_way() -> None:
    for flipped in (False, True):
        net = Net()
        operands = (net.a, net("Neg", net.b))
        assert net.rewritten(DIFFERENCE, net("AddFusion", *operands[:: -1 if flipped else 1])) == ["SubFusion"]
        assert [v.name for v in net.graph.nodes[0].inputs] == ["a", "b"]


def test_operands_of_other_operators_may_not() -> None:
    net = Net()
    r = rule("sub_neg", Sub(x, Neg(y)), Add(x, y))
    assert net.rewritten(r, net("SubFusion", net("Neg", net.a), net.b)) == ["Neg", "SubFusion"]


def test_an_inner_result_with_another_reader_stays() -> None:
    net = Net()
    inner = net("Neg", net.b)
    assert net.rewritten(DIFFERENCE, net("AddFusion", net.a, inner), net("Abs", inner)) == ["Neg", "AddFusion", "Abs"]


def test_an_inner_result_that_is_an_output_stays() -> None:
    net = Net()
    inner = net("Neg", net.b)
    assert net.rewritten(DIFFERENCE, net("AddFusion", net.a, inner), inner) == ["Neg", "AddFusion"]


def test_the_result_keeps_the_name_of_what_it_replaces() -> None:
    net = Net()
    net.rewritten(DIFFERENCE, net("AddFusion", net.a, net("Neg", net.b)))
    (node,) = net.graph.nodes
    assert (node.name, node.output.name, node.source) == ("AddFusion2", "AddFusion2", "AddFusion2")
    assert node.output.shape == (2, 2)


def test_a_removed_output_hands_its_name_on() -> None:
    net = Net()
    source = net("Abs", net.a)
    assert net.rewritten(DOUBLE_NEGATION, net("Neg", net("Neg", source))) == ["Abs"]
    assert net.graph.outputs[0].name == "Neg3"


def test_an_output_is_not_replaced_by_an_input_or_another_output() -> None:
    net = Net()
    assert net.rewritten(DOUBLE_NEGATION, net("Neg", net("Neg", net.a))) == ["Neg", "Neg"]
    net = Net()
    source = net("Abs", net.a)
    assert net.rewritten(DOUBLE_NEGATION, source, net("Neg", net("Neg", source))) == ["Abs", "Neg", "Neg"]


def test_the_same_variable_is_the_same_value() -> None:
    r = rule("silu", Mul(x, Op("Activation", activation_type="SIGMOID")(x)), Swish(x))
    for other, expected in (("a", ["Activation"]), ("b", ["Activation", "MulFusion"])):
        net = Net()
        gate = net("Activation", net.a, activation_type="SIGMOID")
        assert net.rewritten(r, net("MulFusion", getattr(net, other), gate)) == expected


def test_a_shared_pattern_is_one_node() -> None:
    shared = Abs(x)
    r = rule("square", Mul(shared, Neg(shared)), Neg(Op("Square")(x)))
    net = Net()
    inner = net("Abs", net.a)
    assert net.rewritten(r, net("MulFusion", inner, net("Neg", inner))) == ["Square", "Neg"]
    net = Net()
    product = net("MulFusion", net("Abs", net.a), net("Neg", net("Abs", net.a)))
    assert net.rewritten(r, product) == ["Abs", "Abs", "Neg", "MulFusion"]


def test_a_number_matches_its_value_in_one_element() -> None:
    r = rule("mul_two", Mul(x, 2), Add(x, x))
    cases = [(2.0, True), (2.00001, True), (2.001, False), (np.full((2,), 2), False), (np.full((1, 1), 2), True)]
    for constant, matches in cases:
        net = Net()
        assert (net.rewritten(r, net("MulFusion", net.a, constant)) == ["AddFusion"]) == matches, constant


def test_a_number_of_higher_rank_would_change_the_result() -> None:
    net = Net(rank=1)
    assert net.rewritten(rule("mul_one", Mul(x, 1), x), net("Abs", net("MulFusion", net.a, np.ones((1, 1))))) == [
        "MulFusion",
        "Abs",
    ]


def test_attributes_not_mentioned_must_have_their_default() -> None:
    for activation, expected in (("NO_ACTIVATION", ["SubFusion"]), ("RELU", ["Neg", "AddFusion"])):
        net = Net()
        assert (
            net.rewritten(DIFFERENCE, net("AddFusion", net.a, net("Neg", net.b), activation_type=activation))
            == expected
        )


def test_attributes_are_captured_and_computed() -> None:
    r = rule(
        "concat_abs",
        Concat(Abs(x), Abs(y), axis=Attr("axis")),
        Abs(Concat(x, y, axis=lambda m: m.attrs["axis"] + 0)),
    )
    net = Net()
    assert net.rewritten(r, net("Concat", net("Abs", net.a), net("Abs", net.b), axis=1)) == ["Concat", "Abs"]
    assert net.graph.nodes[0].attrs == {"axis": 1}


def test_a_predicate_decides_on_an_attribute() -> None:
    r = rule("relu_clip", Op("Clip")(x, min=0, max=lambda limit: limit > 1e30), Abs(x))
    for limit, expected in ((3e38, ["Abs"]), (6.0, ["Clip"])):
        net = Net()
        assert net.rewritten(r, net("Clip", net.a, min=0.0, max=limit)) == expected


def test_quantised_and_compressed_constants_match_nothing() -> None:
    r = rule("scaled", Mul(x, c), x)
    for spoil in ("nothing", "quant", "compression"):
        net = Net()
        constant = net.constant(np.ones(2))
        if spoil == "quant":
            constant.quant = [QuantParam(0.5)]
        if spoil == "compression":
            constant.compression = "BITPACKING"
        ops = net.rewritten(r, net("MulFusion", net("Abs", net.a), constant))
        assert ops == (["Abs"] if spoil == "nothing" else ["Abs", "MulFusion"])


def test_the_first_fitting_choice_is_taken() -> None:
    r = rule("either", Abs(either(Neg(x), Abs(x), Mul(x, either(1, 2)))), Abs(x))
    for op, operands in (("Neg", ()), ("Abs", ()), ("MulFusion", (2.0,)), ("MulFusion", (1.0,))):
        net = Net()
        assert net.rewritten(r, net("Abs", net(op, net("Sin", net.a), *operands))) == ["Sin", "Abs"]


def test_when_has_the_last_word() -> None:
    r = rule("never", Neg(Neg(x)), x, lambda m: m["x"].name == "b")
    for name in ("a", "b"):
        net = Net()
        ops = net.rewritten(r, net("Abs", net("Neg", net("Neg", getattr(net, name)))))
        assert ops == (["Abs"] if name == "b" else ["Neg", "Neg", "Abs"])


def test_new_nodes_are_matched_too() -> None:
    """Long chains collapse in one call, whatever their order."""
    net = Net()
    value = net("Sin", net.a)
    for _ in range(20):
        value = net("Neg", value)
    assert net.rewritten(DOUBLE_NEGATION, net("Abs", value)) == ["Sin", "Abs"]


def test_a_left_side_must_be_an_operator() -> None:
    with pytest.raises(TypeError, match="must be an operator"):
        apply_rules(Graph("main"), [rule("wrong", either(x), y)])
