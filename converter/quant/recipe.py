"""Which nodes are quantised, and how: a list of rules, from Python or from a configuration file.

A rule is ``{"scope": regex, "op": operator, "algorithm": quant_type, "config": {key: value}}``; ``config`` takes the
keys of the configuration file's quantisation sections. Of the rules that match a node the last one holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from converter.config import SECTIONS, Config, did_you_mean, parse_value
from converter.errors import ConfigError
from converter.ir.graph import Model, Node
from converter.schema import schema

NONE, WEIGHT, DYNAMIC, FULL = ALGORITHMS = ("NONE", "WEIGHT_QUANT", "DYNAMIC_QUANT", "FULL_QUANT")

_COMMON = ("common_quant_param",)
# The sections whose keys each algorithm reads.
_SECTIONS = {
    NONE: (),
    WEIGHT: (*_COMMON, "weight_quant_param", "mixed_bit_weight_quant_param"),
    DYNAMIC: (*_COMMON, "dynamic_quant_param"),
    FULL: (*_COMMON, "full_quant_param", "transform_quant_param"),
}
# Sections that concern the whole quantisation, not single nodes.
_OF_ALL = ("data_preprocess_param", "auto_mixed_precision")
# What a rule says by its algorithm and scope.
_OF_THE_MODEL = ("quant_type", "skip_quant_node")
_FIELDS = {"scope": ".*", "op": "*", "algorithm": None, "config": None}


class Settings:
    """The keys of an algorithm's sections; those not set have their default."""

    def __init__(self, algorithm: str, values: Mapping[str, Any] | None = None) -> None:
        self.algorithm = algorithm
        self.values = dict(values or {})

    def __getitem__(self, key: str) -> Any:
        if key in self.values:
            return self.values[key]
        return next(SECTIONS[s].keys[key].default for s in _SECTIONS[self.algorithm] if key in SECTIONS[s].keys)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Settings) or other.algorithm != self.algorithm:
            return False
        return all(self[key] == other[key] for key in {*self.values, *other.values})

    def __hash__(self) -> int:
        return hash(self.algorithm)

    def __repr__(self) -> str:
        return f"Settings({self.algorithm}, {self.values})"


@dataclass(frozen=True)
class Rule:
    """Nodes whose name ``scope`` is found in and whose operator is ``op`` ("*": any)."""

    scope: re.Pattern[str]
    op: str
    settings: Settings

    def matches(self, node: Node) -> bool:
        return self.op in ("*", node.op) and (
            self.scope.search(node.name) is not None or self.scope.search(node.source) is not None
        )


Plan = dict[Node, Settings]


def plan(model: Model, rules: Sequence[Rule]) -> Plan:
    """What is to be done with each node that a rule names; nodes of algorithm NONE are left out."""
    result: Plan = {}
    for graph in model.graphs:
        for node in graph.nodes:
            settings = next((rule.settings for rule in reversed(rules) if rule.matches(node)), None)
            if settings is not None and settings.algorithm != NONE:
                result[node] = settings
    return result


def from_config(config: Config, model: Model) -> list[Rule]:
    """The rules of a configuration file: one for all nodes, one for each of ``skip_quant_node``.

    Raises ConfigError for a skipped node that is not there, and for settings that contradict each other.
    """
    algorithm = config.get("common_quant_param", "quant_type")
    if not algorithm:
        sections = [*(name for names in _SECTIONS.values() for name in names), *_OF_ALL]
        unused = [name for name in sections if config.values.get(name)]
        if unused:
            raise ConfigError(f"config: [{unused[0]}] has settings, but [common_quant_param] sets no quant_type")
        return []
    values = {key: v for name in _SECTIONS[algorithm] for key, v in config.values.get(name, {}).items()}
    settings = Settings(algorithm, {key: v for key, v in values.items() if key not in _OF_THE_MODEL})
    _check(settings, "config")
    skipped = _names(config.get("common_quant_param", "skip_quant_node"))
    known = {name for graph in model.graphs for node in graph.nodes for name in (node.name, node.source)}
    for name in skipped:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ConfigError(f"config: [common_quant_param] skip_quant_node: the model has no node '{name}'{hint}")
    leave = (Rule(re.compile(rf"\A{re.escape(name)}\Z"), "*", Settings(NONE)) for name in skipped)
    return [Rule(re.compile(""), "*", settings), *leave]


def from_recipe(recipe: Iterable[Mapping[str, Any]]) -> list[Rule]:
    """The rules of a Python recipe. Raises ConfigError naming the rule and what is wrong with it."""
    return [_rule(entry, f"recipe, rule {number}") for number, entry in enumerate(recipe)]


def _rule(entry: Mapping[str, Any], where: str) -> Rule:
    for key in entry:
        if key not in _FIELDS:
            raise ConfigError(
                f"{where}: unknown field '{key}'{did_you_mean(key, _FIELDS)} (it has {', '.join(_FIELDS)})"
            )
    algorithm, op = entry.get("algorithm"), entry.get("op", "*")
    if algorithm not in ALGORITHMS:
        raise ConfigError(f"{where}: algorithm {algorithm!r}: expected one of {', '.join(ALGORITHMS)}")
    if op != "*" and op not in schema().primitives:
        raise ConfigError(
            f"{where}: op {op!r} is no operator of the .ms format{did_you_mean(str(op), schema().primitives)}"
        )
    try:
        scope = re.compile(entry.get("scope", ".*"))
    except (re.error, TypeError) as error:
        raise ConfigError(f"{where}: scope {entry.get('scope')!r} is no regular expression: {error}") from None
    settings = Settings(algorithm, _parsed(algorithm, entry.get("config") or {}, where))
    _check(settings, where)
    return Rule(scope, op, settings)


def _parsed(algorithm: str, given: Mapping[str, Any], where: str) -> dict[str, Any]:
    keys = {key: SECTIONS[name].keys[key] for name in _SECTIONS[algorithm] for key in SECTIONS[name].keys}
    keys = {key: kind for key, kind in keys.items() if key not in _OF_THE_MODEL}
    values = {}
    for name, value in given.items():
        if name not in keys:
            raise ConfigError(f"{where}: unknown key {name}{did_you_mean(name, keys)} (known: {', '.join(keys)})")
        text = str(value).lower() if isinstance(value, bool) else str(value)
        try:
            values[name] = parse_value(keys[name], name, text)
        except ValueError as error:
            raise ConfigError(f"{where}: {error}") from None
    return values


def _check(settings: Settings, where: str) -> None:
    """Refuses settings that are right one by one, but not together."""
    if settings.algorithm == NONE:
        return
    bits = settings["bit_num"]
    if settings.algorithm != WEIGHT:
        if bits != 8:
            raise ConfigError(f"{where}: bit_num={bits}: {settings.algorithm} has 8 bits")
        return
    if not settings["enable_encode"] and bits not in (8, 16):
        raise ConfigError(
            f"{where}: bit_num={bits} needs enable_encode=true: only 8 and 16 bits are stored as they are"
        )
    if settings["block_size"] != "0" and (bits != 4 or settings["dequant_strategy"]):
        raise ConfigError(f"{where}: block_size is for bit_num=4 without a dequant_strategy, not for bit_num={bits}")
    if settings["dequant_strategy"] and bits not in (8, 16):
        raise ConfigError(f"{where}: dequant_strategy=ON_THE_FLY is for 8 and 16 bits, not for bit_num={bits}")


def _names(text: str) -> list[str]:
    return [name for name in (part.strip() for part in text.split(",")) if name]
