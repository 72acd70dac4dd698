"""How the parts of the importer report what they meet; ``build`` turns these into the converter's errors."""

from __future__ import annotations


class Refusal(Exception):  # noqa: N818
    """The node is valid MindIR, but there is no .ms graph for it. Collected, one Problem each."""

    def __init__(self, reason: str, *, attribute: str = "", suggestion: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.attribute = attribute
        self.suggestion = suggestion


class Malformed(Exception):  # noqa: N818
    """The file contradicts itself or the format. Ends the import as a SourceFormatError."""
