"""Everything that can go wrong in a conversion, one class per kind of failure.

Each message is one sentence that names the file, node, operator and attribute where they are known,
what was found and what to do. ``exit_code`` is what ``converter_lite`` ends with.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass


class ConvertError(RuntimeError):
    """Base of all conversion failures; a RuntimeError because that is what mindspore_lite raises."""

    exit_code = 1


class UsageError(ConvertError):
    """A flag or API argument is unknown, has a wrong value, or asks for something not offered."""

    exit_code = 2


class ConfigError(UsageError):
    """The configuration file has an unknown section or key, or a value outside its range."""


class SourceFileError(ConvertError):
    """The model file, or a file it refers to, is missing or unreadable."""

    exit_code = 3


class SourceFormatError(ConvertError):
    """The bytes are not a valid model of the stated format."""

    exit_code = 4


class DecryptError(ConvertError):
    """The model is encrypted and the key or mode is missing or wrong."""

    exit_code = 5


@dataclass(frozen=True)
class Problem:
    """One node that cannot be converted."""

    node: str
    op: str
    reason: str
    attribute: str = ""
    suggestion: str = ""

    def __str__(self) -> str:
        attribute = f", attribute {self.attribute}" if self.attribute else ""
        suggestion = f" {self.suggestion}" if self.suggestion else ""
        return f"{self.op} '{self.node}'{attribute}: {self.reason}{suggestion}"

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


class UnsupportedError(ConvertError):
    """The model is valid but needs something not offered; ``problems`` lists all of it."""

    exit_code = 6

    def __init__(self, source: str, problems: list[Problem]) -> None:
        self.source = source
        self.problems = problems
        lines = "".join(f"\n  {problem}" for problem in problems)
        super().__init__(f"{source}: {len(problems)} node(s) cannot be converted, nothing was written:{lines}")


class InvalidGraphError(ConvertError):
    """The model contradicts itself (wrong shapes, dangling names), or a pass broke the graph."""

    exit_code = 7


class OutputError(ConvertError):
    """The output file cannot be written. Nothing is left behind."""

    exit_code = 8


class CheckError(ConvertError):
    """The written model does not give the answers of the source model."""

    exit_code = 9
