"""AttributeProto to Python values.

Scalars become int, float, bool and str, sequences become tuples, None stays None, types become DataType,
tensors become arrays, monads become MONAD. Files up to 2.0.0 name the form of a value in ``ref_attr_name``
("scalar:Tuple[value1,value2,]"); newer ones in ``type``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Union

from converter.importers.mindir.faults import Malformed, Refusal
from converter.importers.mindir.proto import Message, enum_names
from converter.importers.mindir.tensors import TensorStore, checked_shape, data_type
from converter.ir.graph import Shape
from lite_runtime.types import DataType


class Monad:
    """The only value of a side-effect token; it carries no data."""

    def __repr__(self) -> str:
        return "MONAD"


MONAD = Monad()

_INTEGERS = ("UINT8", "INT8", "UINT16", "INT16", "INT32", "INT64", "UINT32", "UINT64")
_FLOATS = {"FLOAT": ("f", "floats"), "DOUBLE": ("d", "doubles")}


def attribute_value(proto: Message, tensors: TensorStore) -> Any:
    """The value of an attribute or constant. Raises Malformed or Refusal."""
    if proto.HasField("ref_attr_name"):
        return _old_value(proto, tensors)
    return _typed_value(proto, tensors)


def _typed_value(proto: Message, tensors: TensorStore) -> Any:
    kind = _kind(proto)
    if kind in ("TUPLE", "LIST"):
        return tuple(_typed_value(v, tensors) for v in proto.values)
    if kind in ("TENSORS", "TENSOR"):
        return _tensor_or_type(_one_tensor(proto), tensors)
    if kind in ("NONE", "TYPE_NULL"):
        return None
    if kind in ("UMONAD", "IOMONAD"):
        return MONAD
    if kind == "DICT":
        return {v.name: tuple(_typed_value(w, tensors) for w in v.values) for v in proto.values}
    return _scalar(proto, kind)


def _kind(proto: Message) -> str:
    return enum_names("AttributeProto.AttributeType").get(proto.type, "UNDEFINED")


def _one_tensor(proto: Message) -> Message:
    if proto.tensors:
        return proto.tensors[0]
    if proto.HasField("t"):
        return proto.t
    raise Malformed(f"attribute '{proto.name}' of type TENSORS holds no tensor")


def _tensor_or_type(tensor: Message, tensors: TensorStore) -> Any:
    """A tensor without data stands for its element type, unless it has no elements."""
    empty = 0 in tensor.dims
    if tensor.HasField("raw_data") or tensor.HasField("external_data") or empty:
        return tensors.array(tensor)
    return data_type(tensor.data_type)


def _scalar(proto: Message, kind: str) -> Any:
    """A scalar sits in the singular field, or alone in the repeated one when it is an element of a sequence."""
    if kind == "BOOL":
        return bool(_single(proto, "i", "ints"))
    if kind in _INTEGERS:
        return int(_single(proto, "i", "ints"))
    if kind in _FLOATS:
        return float(_single(proto, *_FLOATS[kind]))
    if kind in ("STRING", "CLASS_TYPE", "NAME_SPACE", "SYMBOL"):
        return _single(proto, "s", "strings").decode("utf-8", "replace")
    raise Refusal(f"values of type {kind} are not supported.", attribute=proto.name)


def _single(proto: Message, one: str, many: str) -> Any:
    repeated = getattr(proto, many)
    return repeated[0] if len(repeated) == 1 and not proto.HasField(one) else getattr(proto, one)


def _old_value(proto: Message, tensors: TensorStore) -> Any:
    reference = proto.ref_attr_name
    if reference == "none":
        return None
    if "Monad:" in reference:
        return MONAD
    if proto.values or "Sequence" in reference:
        return tuple(_typed_value(v, tensors) for v in proto.values)
    pattern = re.sub(r"(scalar|tensor|type):", "", reference)
    if "[" in pattern:
        return _old_sequence(pattern, _old_elements(proto, tensors))
    if "type:" in reference:
        return data_type(_one_tensor(proto).data_type)
    if "tensor:" in reference:
        return tensors.array(_one_tensor(proto))
    if "scalar:" in reference:
        return _scalar(proto, _kind(proto))
    raise Malformed(f"attribute '{proto.name}' has the unknown form '{reference}'")


def _old_elements(proto: Message, tensors: TensorStore) -> dict[str, Any]:
    """The numbered values ("value1", ...) that the pattern of a sequence refers to."""
    kind = _kind(proto)
    plain: list[Any] = [
        *proto.ints,
        *proto.floats,
        *proto.doubles,
        *(s.decode("utf-8", "replace") for s in proto.strings),
    ]
    if kind == "BOOL":
        plain = [bool(v) for v in plain]
    plain += [_tensor_or_type(t, tensors) for t in proto.tensors]
    return {f"value{i}": value for i, value in enumerate(plain, 1)}


def _old_sequence(pattern: str, elements: dict[str, Any]) -> Any:
    """Builds "Tuple[value1,Tuple[value2,],]"."""
    stack: list[list[Any]] = [[]]
    for token in re.findall(r"\w+\[|\]|[^\[\],\s]+", pattern):
        if token.endswith("["):
            stack.append([])
        elif token == "]":
            if len(stack) < 2:
                raise Malformed(f"the value pattern '{pattern}' has too many closing brackets")
            done = tuple(stack.pop())
            stack[-1].append(done)
        elif token in elements:
            stack[-1].append(elements[token])
        else:
            raise Malformed(f"the value pattern '{pattern}' names '{token}', which has no value")
    if len(stack) != 1 or len(stack[0]) != 1:
        raise Malformed(f"the value pattern '{pattern}' is not one value")
    return stack[0][0]


@dataclass(frozen=True)
class TensorType:
    """What is known of a tensor before it is computed; tensors with the same ``ref_key`` lie in the same memory."""

    dtype: DataType
    shape: Shape
    ref_key: str = ""


# What is known of a node's result: a tensor, a sequence of results, or nothing.
ResultType = Union[TensorType, tuple[Any, ...], None]


def tensor_type(proto: Message) -> TensorType:
    unknown_rank = list(proto.dims) == [-2]
    shape = None if unknown_rank else checked_shape(proto, dynamic=True)
    return TensorType(data_type(proto.data_type), shape, proto.ref_key)


def is_result_type(attribute: Message) -> bool:
    """Whether an attribute of a node tells the type of its result. (Some primitives have one called "shape".)"""
    if attribute.HasField("ref_attr_name"):
        return bool(attribute.ref_attr_name.startswith("shape:"))
    return bool(attribute.name == "shape")


def result_type(proto: Message) -> ResultType:
    """The "shape" attribute of a node, or the attr_info of an input."""
    kind = _kind(proto)
    if proto.HasField("ref_attr_name"):
        return _old_result_type(proto)
    if kind in ("TUPLE", "LIST"):
        return tuple(result_type(v) for v in proto.values)
    if kind in ("TENSORS", "TENSOR", "SCALAR") and proto.tensors:
        return tensor_type(proto.tensors[0])
    return None


def _old_result_type(proto: Message) -> ResultType:
    types = [tensor_type(t) for t in proto.tensors]
    pattern = proto.ref_attr_name.replace("shape:", "")
    if "[" not in pattern:
        return types[0] if types else None
    named: dict[str, Any] = {t.name: found for t, found in zip(proto.tensors, types)}
    result: ResultType = _old_sequence(pattern, named)
    return result


def flat_types(known: ResultType) -> Iterator[TensorType | None]:
    """The tensors of a result in order."""
    if isinstance(known, tuple):
        for item in known:
            yield from flat_types(item)
    else:
        yield known
