"""The schemas held against facts read off MindSpore's own files and libraries (``data/format``)."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest
from google.protobuf import descriptor_pb2
from support import DATA

from converter.schema import Field, schema

MS = json.loads((DATA / "format" / "ms_schema.json").read_text())
MINDIR = json.loads((DATA / "format" / "mindir_fields.json").read_text())


def type_name(f: Field) -> str:
    """The field's type as the facts spell it."""
    inner = f.table or (f.enum.name if f.enum is not None else f.element or f.kind)
    if f.kind == "utype":
        return f"union_type:{inner}"
    return f"[{inner}]" if f.kind == "vector" else inner


def default_of(f: Field) -> Any:
    return f.enum.values[f.default] if f.enum is not None and isinstance(f.default, str) else f.default


def test_enumerations_have_the_known_names_and_numbers() -> None:
    ours = {name: e.values for name, e in schema().enums.items() if name != "PrimitiveType"}
    assert ours == MS["enums"]


def test_primitives_have_the_known_numbers() -> None:
    assert {"NONE": 0, **schema().primitives} == MS["primitives"]


def test_tables_are_the_known_ones() -> None:
    assert schema().tables.keys() == MS["tables"].keys()


@pytest.mark.parametrize("table", MS["tables"])
def test_fields_have_the_known_slots_types_and_defaults(table: str) -> None:
    ours = list(schema().tables[table].fields.values())
    facts = MS["tables"][table]
    assert [(f.slot, f.name) for f in ours] == [(fact["slot"], fact["name"]) for fact in facts]
    for f, fact in zip(ours, facts):
        kind = "PrimitiveType" if f.kind == "union" else type_name(f)
        assert kind == {"int64": "long"}.get(fact["type"], fact["type"]), f.name
        assert f.deprecated == fact.get("deprecated", False), f.name
        if f.kind not in ("string", "table", "union", "vector"):
            assert default_of(f) == pytest.approx(fact.get("default", 0)), f.name


def test_container_has_the_known_identifier_and_root() -> None:
    data = files("converter").joinpath("generated/model.bfbs").read_bytes()
    assert data[4:8] == b"BFBS"
    assert MS["file_identifier"].encode() in data
    assert MS["root_type"] in schema().tables


_LABELS = {1: "optional", 2: "required", 3: "repeated"}


def mindir_descriptors() -> tuple[dict[str, Any], dict[str, Any]]:
    """Messages and enumerations of mind_ir.proto by full name, nested ones too."""
    descriptors = descriptor_pb2.FileDescriptorSet()
    descriptors.ParseFromString(files("converter").joinpath("generated/mind_ir.desc").read_bytes())
    (file,) = descriptors.file
    assert file.package == MINDIR["package"]
    messages: dict[str, Any] = {}
    enums = {f"{file.package}.{e.name}": e for e in file.enum_type}

    def add(prefix: str, message: Any) -> None:
        name = f"{prefix}.{message.name}"
        messages[name] = message
        enums.update({f"{name}.{e.name}": e for e in message.enum_type})
        for nested in message.nested_type:
            add(name, nested)

    for message in file.message_type:
        add(file.package, message)
    return messages, enums


def test_mindir_messages_have_the_known_fields() -> None:
    messages, _ = mindir_descriptors()
    scalar = {number: name for name, number in descriptor_pb2.FieldDescriptorProto.Type.items()}
    ours = {
        name: {
            (
                f.number,
                f.name,
                f.type_name.lstrip(".") or scalar[f.type].removeprefix("TYPE_").lower(),
                _LABELS[f.label],
            )
            for f in message.field
        }
        for name, message in messages.items()
    }
    facts = {
        name: {(f["number"], f["name"], f["type"], f["label"]) for f in fields}
        for name, fields in MINDIR["messages"].items()
    }
    assert ours == facts


def test_mindir_enumerations_have_the_known_numbers() -> None:
    _, enums = mindir_descriptors()
    ours = {name: {v.name: v.number for v in e.value} for name, e in enums.items()}
    assert ours == MINDIR["enums"]
