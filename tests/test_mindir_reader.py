"""Files as they come: encrypted, split, old, damaged, hostile."""

from __future__ import annotations

import random
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mindir_nets import KEY, find, read
from support import CORPUS

from converter.errors import ConvertError, DecryptError, SourceFileError, SourceFormatError, UsageError
from converter.importers.mindir import load
from converter.importers.mindir.proto import enum_names, message_class
from converter.importers.mindir.reader import decryption

_PLAIN = find("v1/cnn")
_SPLIT = CORPUS / "mindir_v1" / "external_data"


def _message(path: Path = _PLAIN):
    return message_class("ModelProto").FromString(path.read_bytes())


def _written(model, tmp_path: Path, name: str = "net.mindir") -> Path:
    path = tmp_path / name
    path.write_bytes(model.SerializeToString())
    return path


# Encryption


@pytest.mark.parametrize("name", ["cnn_gcm", "cnn_cbc"])
@pytest.mark.parametrize("key", [KEY, KEY.encode(), KEY.encode().hex()])
def test_encrypted(name: str, key: str | bytes) -> None:
    model = load(find(f"v1/{name}"), decrypt_key=key, decrypt_mode=f"AES-{name[4:].upper()}")
    assert [n.op for n in model.main.nodes] == [n.op for n in read(_PLAIN).main.nodes]


@pytest.mark.parametrize("name", ["cnn_gcm", "cnn_cbc"])
def test_encrypted_without_or_with_wrong_key(name: str, tmp_path: Path) -> None:
    mode = f"AES-{name[4:].upper()}"
    other = "AES-CBC" if mode == "AES-GCM" else "AES-GCM"
    path = find(f"v1/{name}")
    with pytest.raises(DecryptError, match="give its key"):
        load(path)
    with pytest.raises(DecryptError, match=r"key is wrong|damaged"):
        load(path, decrypt_key="F" * 16, decrypt_mode=mode)
    with pytest.raises(DecryptError, match=f"{mode}, not {other}"):
        load(path, decrypt_key=KEY, decrypt_mode=other)
    damaged = tmp_path / "net.mindir"
    for cut in (4, 10, 40, 60, path.stat().st_size - 1):
        damaged.write_bytes(path.read_bytes()[:cut])
        with pytest.raises((SourceFormatError, DecryptError), match=re.escape(str(damaged))):
            load(damaged, decrypt_key=KEY, decrypt_mode=mode)


def test_key_for_a_plain_file() -> None:
    with pytest.raises(DecryptError, match="not encrypted"):
        load(_PLAIN, decrypt_key=KEY)


def test_keys() -> None:
    """Hexadecimal digits are hexadecimal; other text of a possible length is taken as it stands."""
    assert decryption("00112233445566778899aabbccddeeff", "AES-GCM").key == bytes(i * 17 for i in range(16))
    assert decryption("x" * 32, "AES-GCM").key == b"x" * 32
    assert decryption(b"y" * 24, "AES-GCM").key == b"y" * 24
    with pytest.raises(UsageError, match="9 bytes"):
        decryption("too short", "AES-GCM")
    with pytest.raises(UsageError, match="AES-ECB"):
        decryption(KEY, "AES-ECB")


# Files that are not what they should be


def test_missing_empty_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(SourceFileError, match=r"none\.mindir"):
        load(tmp_path / "none.mindir")
    with pytest.raises(SourceFileError, match="folder"):
        load(tmp_path)
    for content in (b"", b"\0" * 64, b"hello, this is text", b"PK\x03\x04" + bytes(60), bytes(range(256))):
        path = tmp_path / "net.mindir"
        path.write_bytes(content)
        with pytest.raises(SourceFormatError, match=re.escape(str(path))):
            load(path)


def test_truncated_anywhere(tmp_path: Path) -> None:
    """A file cut off at any point is refused, or it is not missed: what a model needs comes before its end."""
    data = find("v1/a_io").read_bytes()
    path = tmp_path / "net.mindir"
    for size in range(len(data) - 1):
        path.write_bytes(data[:size])
        try:
            load(path)
        except ConvertError as error:
            assert str(path) in str(error)


def test_newer_version(tmp_path: Path) -> None:
    model = _message()
    model.mind_ir_version = 4
    with pytest.raises(SourceFormatError, match="version 4 is newer"):
        load(_written(model, tmp_path))


def test_big_endian(tmp_path: Path) -> None:
    model = _message()
    model.little_endian = False
    with pytest.raises(SourceFormatError, match="big-endian"):
        load(_written(model, tmp_path))


# Weights in other files


@pytest.fixture
def split(tmp_path: Path) -> Path:
    if not _SPLIT.is_dir():
        pytest.skip("no model corpus beside the checkout (set LITE_RUNTIME_CORPUS)")
    shutil.copytree(_SPLIT, tmp_path, dirs_exist_ok=True)
    for file in tmp_path.rglob("*"):
        file.chmod(0o755)
    return tmp_path / "ext_graph.mindir"


def test_missing_weights_file(split: Path) -> None:
    (split.parent / "ext_variables" / "data_0").unlink()
    with pytest.raises(SourceFileError, match=r"ext_variables/data_0: this file with weights of .*ext_graph\.mindir"):
        load(split)


def test_truncated_weights_file(split: Path) -> None:
    data = split.parent / "ext_variables" / "data_0"
    data.write_bytes(data.read_bytes()[:100_000])
    with pytest.raises(SourceFormatError, match="truncated"):
        load(split)


def test_moved_weights(split: Path) -> None:
    moved = split.parent / "elsewhere"
    (split.parent / "ext_variables").rename(moved)
    for weights in (moved, moved / "data_0"):
        assert len(load(split, weight_file=weights).main.nodes) == 11


@pytest.mark.parametrize("location", ["../../etc/passwd", "/etc/passwd", "", "."])
def test_weights_outside_the_folder(split: Path, location: str) -> None:
    model = _message(split)
    model.graph.parameter[0].external_data.location = location
    with pytest.raises(SourceFormatError, match="outside the model's folder"):
        load(_written(model, split.parent))


@pytest.mark.parametrize(("offset", "length"), [(-1, 4), (1 << 60, 4), (0, 1 << 62), (64, -5)])
def test_impossible_places_in_the_weights_file(split: Path, offset: int, length: int) -> None:
    model = _message(split)
    model.graph.parameter[0].external_data.offset = offset
    model.graph.parameter[0].external_data.length = length
    with pytest.raises(SourceFormatError):
        load(_written(model, split.parent))


def test_oldest_split_form(tmp_path: Path) -> None:
    """Weights as GraphProtos in <name>_variables/, without any reference in the model."""
    model = _message()
    folder = tmp_path / "net_variables"
    folder.mkdir()
    for index, parameter in enumerate(model.graph.parameter):
        part = message_class("GraphProto")()
        part.parameter.add().CopyFrom(parameter)
        (folder / f"data_{index}").write_bytes(part.SerializeToString())
    del model.graph.parameter[:]
    path = _written(model, tmp_path, "net_graph.mindir")
    loaded = load(path)
    assert [n.attrs for n in loaded.main.nodes] == [n.attrs for n in read(_PLAIN).main.nodes]
    shutil.rmtree(folder)
    with pytest.raises(SourceFileError, match="net_variables"):
        load(path)


# Version 0: attributes sit in the nodes, and their form in ref_attr_name


def _old_attribute(attribute) -> None:
    """Rewrites an attribute the way MindSpore 1.x wrote it."""
    kind = enum_names("AttributeProto.AttributeType")[attribute.type]
    if kind in ("TUPLE", "LIST"):
        flat: list = []
        pattern = _old_pattern(attribute, flat)
        first = flat[0] if flat else None
        del attribute.values[:]
        attribute.ClearField("type")
        for element in flat:
            attribute.ints.extend(element.ints)
            attribute.floats.extend(element.floats)
            attribute.strings.extend(element.strings)
        if first is not None:
            attribute.type = first.type
        attribute.ref_attr_name = f"scalar:{pattern}"
    elif kind == "TENSORS":
        attribute.ref_attr_name = "tensor:value0" if attribute.tensors[0].HasField("raw_data") else "type:value0"
    elif kind == "UMONAD":
        attribute.ref_attr_name = "Monad:UMonad"
    elif kind == "NONE":
        attribute.ref_attr_name = "none"
    else:
        attribute.ref_attr_name = "scalar:value0"


def _old_pattern(attribute, flat: list) -> str:
    name = {"TUPLE": "Tuple", "LIST": "List"}[enum_names("AttributeProto.AttributeType")[attribute.type]]
    parts = []
    for value in attribute.values:
        if value.values:
            parts.append(_old_pattern(value, flat))
        else:
            copy = message_class("AttributeProto")()
            copy.CopyFrom(value)
            flat.append(copy)
            parts.append(f"value{len(flat)}")
    return f"{name}[{''.join(part + ',' for part in parts)}]"


def _old_shape(attribute) -> None:
    parts = list(attribute.values) or [attribute]
    tensors = [part.tensors[0] for part in parts if part.tensors]
    for index, tensor in enumerate(tensors, 1):
        tensor.name = f"shape{index}" if attribute.values else "shape"
    names = "".join(f"{t.name}," for t in tensors)
    attribute.ref_attr_name = f"shape:Tuple[{names}]" if attribute.values else "shape:shape"
    copies = [message_class("TensorProto").FromString(t.SerializeToString()) for t in tensors]
    del attribute.values[:]
    del attribute.tensors[:]
    attribute.tensors.extend(copies)
    attribute.ClearField("type")
    attribute.name = ""


def _old_form(model) -> None:
    primitives = {p.name: p for p in model.primitives}
    for graph in (model.graph, *model.functions):
        for parameter in graph.parameter:
            parameter.ClearField("ref_key")
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.name == "shape":
                    _old_shape(attribute)
                else:
                    _old_attribute(attribute)
            primitive = primitives.get(node.op_type.removeprefix("REF::"))
            if primitive is not None:
                node.op_type = primitive.op_type
                for attribute in primitive.attribute:
                    copy = node.attribute.add()
                    copy.CopyFrom(attribute)
                    _old_attribute(copy)
    del model.primitives[:]
    model.ClearField("mind_ir_version")
    model.model_version = "1.8.1"


@pytest.mark.parametrize("name", ["cnn", "multi", "lstm", "enc", "a_io"])
def test_version_0(name: str, tmp_path: Path) -> None:
    """The same model in the form of MindSpore 1.x gives the same graph."""
    model = _message(find(f"v1/{name}"))
    _old_form(model)
    old, new = load(_written(model, tmp_path)).main, read(find(f"v1/{name}")).main
    assert [(n.op, n.name, n.attrs) for n in old.nodes] == [(n.op, n.name, n.attrs) for n in new.nodes]
    for left, right in zip(old.nodes, new.nodes):
        assert [(v.name, v.shape, v.dtype) for v in left.inputs] == [(v.name, v.shape, v.dtype) for v in right.inputs]
        for a, b in zip(left.inputs, right.inputs):
            if b.data is not None:
                np.testing.assert_array_equal(a.data, b.data)


# Models that contradict themselves


def _first(model, op: str):
    return next(n for n in model.graph.node if n.op_type.startswith(f"REF::{op}:"))


def _break_cycle(model) -> None:
    node = _first(model, "Conv2D")
    node.input[0] = node.output[0]


def _break_duplicate(model) -> None:
    model.graph.node.add().CopyFrom(_first(model, "Conv2D"))


def _break_operand(model) -> None:
    del _first(model, "Conv2D").input[1:]


def _break_weight(model) -> None:
    model.graph.parameter[0].dims[0] = 5


def _break_huge(model) -> None:
    model.graph.parameter[0].dims.extend([1 << 62, 1 << 62])


def _break_negative(model) -> None:
    model.graph.input[0].tensor[0].dims[1] = -7


def _break_two_parameters(model) -> None:
    model.graph.parameter.add().CopyFrom(model.graph.parameter[0])


def _break_output(model) -> None:
    model.graph.output[0].name = "nobody"


def _break_no_output(model) -> None:
    del model.graph.output[:]


def _break_kernel(model) -> None:
    for primitive in model.primitives:
        for attribute in primitive.attribute:
            if primitive.op_type == "Conv2D" and attribute.name == "stride":
                attribute.values.add().CopyFrom(attribute.values[0])


_BROKEN = {
    _break_cycle: "Conv2D .*defines before it",
    _break_duplicate: "two nodes are called",
    _break_operand: "Conv2D .*'weight' is missing",
    _break_weight: "has 24 bytes of data.* need 20",
    _break_huge: "impossibly large|need",
    _break_negative: "impossible dimension -7",
    _break_two_parameters: "two parameters",
    _break_output: "output 'nobody'",
    _break_no_output: "no outputs",
    _break_kernel: "'stride' has 5 values",
}


@pytest.mark.parametrize("damage", _BROKEN, ids=lambda f: f.__name__[7:])
def test_contradictions(damage, tmp_path: Path) -> None:
    model = _message()
    damage(model)
    path = _written(model, tmp_path)
    with pytest.raises(SourceFormatError, match=_BROKEN[damage]) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_graphs_that_call_each_other_without_end(tmp_path: Path) -> None:
    """Recursion is legal MindIR; a loop without a condition builds a finite graph."""
    model = _message(find("v1/whilenet"))
    header = model.functions[0].name
    for function in model.functions:
        for node in function.node:
            if node.op_type.startswith("REF::") and ":" not in node.op_type[5:]:
                node.op_type = f"REF::{header}"
    assert load(_written(model, tmp_path)).graphs


def test_deep_tuples(tmp_path: Path) -> None:
    model = _message()
    constant = next(n for n in model.graph.node if n.op_type == "Constant" and n.attribute[0].values)
    value = constant.attribute[0]
    for _ in range(200):
        inner = message_class("AttributeProto")()
        inner.CopyFrom(value)
        value.Clear()
        value.type, value.name = 20, "value"
        value.values.add().CopyFrom(inner)
    with pytest.raises(SourceFormatError):
        load(_written(model, tmp_path))


def test_tuples_of_tuples_without_end(tmp_path: Path) -> None:
    """Forty nodes can make a tuple of a trillion elements."""
    model = _message(find("v1/a_io"))
    pair = next(p.name for p in model.primitives if p.op_type == "MakeTuple")
    last = model.graph.node[-1].output[0]
    for index in range(40):
        node = model.graph.node.add(op_type=f"REF::{pair}", name=f"n{index}")
        node.input.extend([last, last])
        node.output.append(f"n{index}")
        last = f"n{index}"
    model.graph.output[0].name = last
    with pytest.raises(SourceFormatError, match="more than 65536 elements"):
        load(_written(model, tmp_path))


def test_choices_without_end(tmp_path: Path) -> None:
    """Switches of switches double the graphs they choose between."""
    model = _message(find("v1/ifnet"))
    switch = next(n for n in model.graph.node if n.op_type.startswith("REF::Switch"))
    call = next(n for n in model.graph.node if n.op_type == f"REF::{switch.output[0]}")
    nodes, last = list(model.graph.node), switch.output[0]
    at = nodes.index(call)
    added = []
    for index in range(40):
        node = message_class("NodeProto")(op_type=switch.op_type, name=f"s{index}")
        node.input.extend([switch.input[0], last, last])
        node.output.append(f"s{index}")
        added.append(node)
        last = f"s{index}"
    call.op_type = f"REF::{last}"
    copies = [message_class("NodeProto").FromString(n.SerializeToString()) for n in [*nodes[:at], *added, *nodes[at:]]]
    del model.graph.node[:]
    model.graph.node.extend(copies)
    with pytest.raises(SourceFormatError, match="more than 256 graphs"):
        load(_written(model, tmp_path))


# Damage at random: only conversion errors may come out


def _mutated(data: bytes, random_state: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(random_state.randint(1, 8)):
        place = random_state.randrange(len(damaged))
        action = random_state.randrange(4)
        if action == 0:
            damaged[place] = random_state.randrange(256)
        elif action == 1:
            damaged[place] ^= 1 << random_state.randrange(8)
        elif action == 2:
            del damaged[place : place + random_state.randrange(1, 9)]
        else:
            damaged[place:place] = bytes(random_state.randrange(256) for _ in range(random_state.randrange(1, 9)))
    return bytes(damaged)


_VICTIMS = ["v1/a_io", "v1/a_aap", "v1/a_silu_hsig", "v3/dynshape", "v1/ifnet", "v1/whilenet", "v3/whilenet"]


def _survives(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    try:
        load(path)
    except ConvertError as error:
        assert str(error).startswith(str(path))


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(_VICTIMS), state=st.randoms(use_true_random=False))
def test_random_damage(name: str, state: random.Random, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.mindir"
    _survives(_mutated(find(name).read_bytes(), state), path)


_NUMBERS = (0, 1, -1, 2, 3, 7, 255, 2**31, -(2**31), 2**62, -(2**63))


def _fields(message) -> list:
    """Every filled field of a message and the messages in it."""
    found = []
    for field, value in message.ListFields():
        found.append((message, field))
        if field.type == field.TYPE_MESSAGE:
            for item in [value] if hasattr(value, "ListFields") else value:
                found += _fields(item)
    return found


def _changed(model, random_state: random.Random) -> None:
    """Changes a few fields to other values of their type, so that the file is still well-formed."""
    fields = _fields(model)
    names = [node.output[0] for graph in (model.graph, *model.functions) for node in graph.node]
    for _ in range(random_state.randint(1, 5)):
        message, field = random_state.choice(fields)
        value = getattr(message, field.name)
        repeated = not isinstance(value, (str, bytes, int, float)) and not hasattr(value, "ListFields")
        if repeated and len(value) and random_state.random() < 0.3:
            del value[random_state.randrange(len(value)) :]
        elif field.cpp_type in (field.CPPTYPE_INT64, field.CPPTYPE_INT32, field.CPPTYPE_FLOAT):
            number = random_state.choice(_NUMBERS)
            number = max(min(number, 2**31 - 1), -(2**31)) if field.cpp_type == field.CPPTYPE_INT32 else number
            if repeated and len(value):
                value[random_state.randrange(len(value))] = number
            elif not repeated:
                setattr(message, field.name, number)
        elif field.type == field.TYPE_STRING:
            name = random_state.choice([*names, "", "REF::", "REF::x"])
            if repeated and len(value):
                value[random_state.randrange(len(value))] = name
            elif not repeated:
                setattr(message, field.name, name)
        elif not repeated:
            message.ClearField(field.name)


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(_VICTIMS), state=st.randoms(use_true_random=False))
def test_random_contradictions(name: str, state: random.Random, tmp_path_factory: pytest.TempPathFactory) -> None:
    model = _message(find(name))
    _changed(model, state)
    _survives(model.SerializePartialToString(), tmp_path_factory.getbasetemp() / "changed.mindir")


_MORE_VICTIMS = [*_VICTIMS, "v1/multi", "v3/multi", "v1/cnn", "v3/cnn", "v1/cnn_obf", "v1/lstm", "v1/convs", "v3/tenc"]


@pytest.mark.fuzz
@pytest.mark.parametrize("name", _MORE_VICTIMS)
def test_many_random_contradictions(name: str, tmp_path: Path) -> None:
    data = find(name).read_bytes()
    for seed in range(400):
        model = message_class("ModelProto").FromString(data)
        _changed(model, random.Random(seed))
        _survives(model.SerializePartialToString(), tmp_path / "net.mindir")


@pytest.mark.fuzz
@pytest.mark.parametrize("name", _MORE_VICTIMS)
def test_much_random_damage(name: str, tmp_path: Path) -> None:
    data = find(name).read_bytes()
    for seed in range(800):
        _survives(_mutated(data, random.Random(seed)), tmp_path / "net.mindir")
