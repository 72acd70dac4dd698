"""Protobuf messages from untrusted files: their strings."""

from __future__ import annotations

from typing import Any


def check_text(message: Any) -> None:
    """Raises ValueError for a string that is not UTF-8: protobuf hands it over as bytes."""
    for field, value in message.ListFields():
        if field.type not in (field.TYPE_MESSAGE, field.TYPE_STRING):
            continue
        for item in [value] if isinstance(value, (str, bytes)) or hasattr(value, "ListFields") else value:
            if isinstance(item, bytes):
                raise ValueError(f"the text {item[:40]!r} in field {field.full_name} is not UTF-8")
            if field.type == field.TYPE_MESSAGE:
                check_text(item)
