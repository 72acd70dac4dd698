"""MindSpore's protobuf messages, made from the descriptor sets that protoc writes of ``schema/*.proto``."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# Messages are made at run time, so their static type is Any throughout this package.
Message = Any


@cache
def _pool() -> Any:
    pool = descriptor_pool.DescriptorPool()
    for package in ("mind_ir", "checkpoint"):
        data = files("converter").joinpath(f"generated/{package}.desc").read_bytes()
        for file in descriptor_pb2.FileDescriptorSet.FromString(data).file:
            pool.Add(file)
    return pool


@cache
def message_class(name: str, package: str = "mind_ir") -> Any:
    """The class of a message such as "ModelProto"."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{package}.{name}"))


@cache
def enum_names(name: str) -> dict[int, str]:
    """Numbers to names of an enumeration such as "AttributeProto.AttributeType"."""
    values = _pool().FindEnumTypeByName(f"mind_ir.{name}").values_by_number
    return {number: value.name for number, value in values.items()}
