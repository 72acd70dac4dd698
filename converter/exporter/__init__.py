"""Writes a Model as a .ms file, exactly as MindSpore Lite's runtime wants it."""

from __future__ import annotations

from converter.exporter.file import write
from converter.exporter.model import export

__all__ = ["export", "write"]
