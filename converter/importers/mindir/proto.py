"""MindIR's protobuf messages, made from the descriptor set that protoc writes of ``schema/mind_ir.proto``."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# Messages are made at run time, so their static type is Any throughout this package.
Message = Any


@cache
def _pool() -> Any:
    data = files("converter").joinpath("generated/mind_ir.desc").read_bytes()
    descriptors = descriptor_pb2.FileDescriptorSet.FromString(data)
    pool = descriptor_pool.DescriptorPool()
    for file in descriptors.file:
        pool.Add(file)
    return pool


@cache
def message_class(name: str) -> Any:
    """The class of a message such as "ModelProto"."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"mind_ir.{name}"))


@cache
def enum_names(name: str) -> dict[int, str]:
    """Numbers to names of an enumeration such as "AttributeProto.AttributeType"."""
    values = _pool().FindEnumTypeByName(f"mind_ir.{name}").values_by_number
    return {number: value.name for number, value in values.items()}
