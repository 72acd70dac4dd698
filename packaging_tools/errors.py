"""The one failure of packaging that a person can act on."""

from __future__ import annotations


class PackagingError(RuntimeError):
    """What was asked for cannot be made; the message says why and what to do. Nothing was written."""
