"""The configuration file of ``--configFile``: MindSpore Lite's sections and keys, read strictly.

Unknown sections and keys, values outside their range and settings that are not offered are errors.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

from converter.errors import ConfigError

Sections = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Text:
    """Any text."""

    def parse(self, text: str) -> str:
        return text


@dataclass(frozen=True)
class Choice:
    """One of some words."""

    words: tuple[str, ...]

    def parse(self, text: str) -> str:
        if text not in self.words:
            raise ValueError(f"one of {', '.join(self.words)}")
        return text


@dataclass(frozen=True)
class Flag:
    """true or false (on or off)."""

    words: tuple[str, str] = ("true", "false")

    def parse(self, text: str) -> bool:
        if text.lower() not in self.words:
            raise ValueError(f"{self.words[0]} or {self.words[1]}")
        return text.lower() == self.words[0]


@dataclass(frozen=True)
class Integer:
    """An integer from low to high."""

    low: int
    high: int | None = None

    def parse(self, text: str) -> int:
        number = int(text) if re.fullmatch(r"[+-]?\d{1,18}", text) else None
        if number is None or number < self.low or (self.high is not None and number > self.high):
            limit = f"of at least {self.low}" if self.high is None else f"from {self.low} to {self.high}"
            raise ValueError(f"an integer {limit}")
        return number


@dataclass(frozen=True)
class Real:
    """A number between low and high, the limits themselves excluded."""

    low: float
    high: float

    def parse(self, text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if not self.low < number < self.high:
            raise ValueError(f"a number between {self.low:g} and {self.high:g}")
        return number


@dataclass(frozen=True)
class Numbers:
    """Numbers separated by commas."""

    def parse(self, text: str) -> list[float]:
        try:
            return [float(item) for item in text.strip("[]").split(",")]
        except ValueError:
            raise ValueError("numbers separated by commas") from None


Kind = Union[Text, Choice, Flag, Integer, Real, Numbers]


@dataclass(frozen=True)
class Key:
    """A key: what its value may be, its default, and the only value offered where that is restricted."""

    kind: Kind
    default: Any = ""
    only: Any = None


@dataclass(frozen=True)
class Section:
    """A section: its keys, and why it is refused (empty: it is offered)."""

    keys: Mapping[str, Key]
    refused: str = ""


_TEXT = Key(Text())
_YES = Key(Flag(), True)
_NO = Key(Flag(), False)
_ASCEND = "it configures Ascend devices, this converter writes models for the CPU"
_MICRO = "code generation for microcontrollers is not offered"


def _texts(names: str) -> dict[str, Key]:
    return dict.fromkeys(names.split(), _TEXT)


SECTIONS: Mapping[str, Section] = {
    "common_quant_param": Section(
        {
            "quant_type": Key(Choice(("WEIGHT_QUANT", "FULL_QUANT", "DYNAMIC_QUANT"))),
            "bit_num": Key(Integer(0, 16), 8),
            "min_quant_weight_size": Key(Integer(0, 65535), 0),
            "min_quant_weight_channel": Key(Integer(0, 65535), 16),
            "skip_quant_node": _TEXT,
            "debug_info_save_path": Key(Text(), "", only=""),
            "debug_mode": Key(Text(), "DETAIL"),
            "enable_encode": _YES,
            "thread_num": Key(Integer(1), 4),
            "workspace": _TEXT,
        },
    ),
    "weight_quant_param": Section(
        {
            "dequant_strategy": Key(Choice(("ON_THE_FLY",))),
            "quant_strategy": Key(Choice(("MAX_MIN", "GPTQ", "MSE", "HQQ")), "MAX_MIN"),  # the last two are ours
            "update_mindir": _YES,
            "max_segments": Key(Integer(1), 1, only=1),
            "per_channel": _YES,
            "bias_correction": _YES,
            # Ours: 4-bit weights of products and tables in blocks.
            "block_size": Key(Choice(("0", "32", "64", "128")), "0"),
            "block_symmetric": _YES,
        },
    ),
    "mixed_bit_weight_quant_param": Section(
        {
            "init_scale": Key(Real(0, 1), 0.02),
            "auto_tune": Key(Flag(), False, only=False),
            "use_cv_data": Key(Flag(), False, only=False),
            "max_iterations": Key(Integer(40, 65535), 40),
        },
    ),
    "full_quant_param": Section(
        {
            # The last two are ours.
            "activation_quant_method": Key(
                Choice(("MAX_MIN", "KL", "REMOVAL_OUTLIER", "PERCENTILE", "MSE")), "MAX_MIN"
            ),
            "bias_correction": _YES,
            "per_channel": _YES,
            "target_device": Key(Choice(("CPU", "KIRIN", "NVGPU", "DSP", "ASCEND")), "CPU", only="CPU"),
            "smooth_alpha": Key(Real(0, 1), 0.5),
            "enable_smooth_shift": _NO,
            # Ours: the part of all values that PERCENTILE keeps, in per cent.
            "percentile": Key(Real(50, 100), 99.99),
            "cross_layer_equalization": _NO,
        },
    ),
    # ALWC: activations by layer, weights by channel.
    "dynamic_quant_param": Section(
        {
            "quant_strategy": Key(Choice(("ALWC", "ACWL")), "ALWC", only="ALWC"),
            # Ours, as in full_quant_param.
            "enable_smooth_shift": _NO,
            "smooth_alpha": Key(Real(0, 1), 0.5),
        }
    ),
    "transform_quant_param": Section(
        {"export_precision_mode": Key(Choice(("QUANT", "FLOAT32")), "QUANT", only="QUANT")}
    ),
    "data_preprocess_param": Section(
        {
            "calibrate_path": _TEXT,
            "calibrate_size": Key(Integer(1, 65535)),
            "input_type": Key(Choice(("IMAGE", "BIN"))),
            "image_to_format": Key(Choice(("RGB", "GRAY", "BGR"))),
            "normalize_mean": Key(Numbers()),
            "normalize_std": Key(Numbers()),
            "resize_width": Key(Integer(1)),
            "resize_height": Key(Integer(1)),
            "resize_method": Key(Choice(("LINEAR", "NEAREST", "CUBIC"))),
            "center_crop_width": Key(Integer(1)),
            "center_crop_height": Key(Integer(1)),
        },
    ),
    # Ours.
    "auto_mixed_precision": Section(
        {
            "enable": _NO,
            "objective": Key(Choice(("SPEED", "SIZE")), "SPEED"),
            "min_snr": Key(Real(0, 200)),  # dB
            "max_accuracy_drop": Key(Real(-1e-9, 100)),  # per cent
            "accuracy_data": _TEXT,
            "bit_widths": Key(Numbers()),
        }
    ),
    "registry": Section(
        {
            "plugin_path": Key(Text(), "", only=""),
            "disable_fusion": Key(Flag(("on", "off")), False),
            "fusion_blacklists": Key(Text(), "", only=""),
        }
    ),
    "micro_param": Section(
        {
            "enable_micro": Key(Flag(), False, only=False),
            "target": Key(Choice(("x86", "Cortex-M", "ARM32", "ARM64", "All"))),
            "codegen_mode": Key(Choice(("Inference", "Train")), "Inference"),
            "support_parallel": _NO,
            "debug_mode": _NO,
            "keep_original_weight": _NO,
            **_texts("save_path project_name changeable_weights_name inputs_shape dynamic_dim_params"),
        },
    ),
    "acl_option_cfg_param": Section(
        _texts(
            "device_id input_format input_shape_vector input_shape output_type precision_mode op_select_impl_mode "
            "fusion_switch_config_file_path dynamic_batch_size buffer_optimize insert_op_config_file_path "
            "dynamic_image_size dynamic_dims aoe_mode custom_opp_path"
        ),
        _ASCEND,
    ),
    "cpu_option_cfg_param": Section(
        _texts("architecture instruction"), "the runtime chooses the instruction set of each CPU by itself"
    ),
    "custom_opp_path": Section({}, _ASCEND),
    "graph_kernel_param": Section({}, "graph kernels are not offered"),
}


@dataclass(frozen=True)
class Config:
    """Settings by section and key, checked and parsed. Keys that are not set have their default."""

    values: Mapping[str, Mapping[str, Any]]

    def get(self, section: str, key: str) -> Any:
        return self.values.get(section, {}).get(key, SECTIONS[section].keys[key].default)


EMPTY = Config({})


def read_config(path: Path) -> Config:
    """Reads and checks a configuration file. Raises ConfigError naming file, line, section and key."""
    return check_config(read_sections(path), str(path))


def read_sections(path: Path) -> Sections:
    """Reads a configuration file without looking at what the keys mean. Raises ConfigError.

    It holds ``[section]``, ``key=value``, and comments behind # or ; at line starts.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the configuration file: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: the configuration file is not UTF-8 text (byte {error.start})") from None
    sections: dict[str, dict[str, str]] = {}
    current: dict[str, str] | None = None
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        where = f"{path}, line {number}: '{line}'"
        if line[0] == "[":
            name = line[1:-1].strip()
            if line[-1] != "]" or not name:
                raise ConfigError(f"{where} is not a section, expected [name]")
            if name in sections:
                raise ConfigError(f"{where}: the section stands twice")
            current = sections[name] = {}
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not key:
            raise ConfigError(f"{where} is neither [section] nor key=value")
        if current is None:
            raise ConfigError(f"{where} stands before the first [section]")
        if key in current:
            raise ConfigError(f"{where}: the key stands twice")
        current[key] = value
    return sections


def check_config(sections: Sections, source: str) -> Config:
    """Checks settings against ``SECTIONS``. Raises ConfigError with all that is wrong, in one line."""
    problems: list[str] = []
    values: dict[str, dict[str, Any]] = {}
    for name, keys in sections.items():
        if name not in SECTIONS:
            problems.append(f"unknown section [{name}]{_nearest(name, SECTIONS)}")
            continue
        section = SECTIONS[name]
        if section.refused:
            problems.append(f"section [{name}]: {section.refused}")
        values[name] = {}
        for key, text in keys.items():
            try:
                values[name][key] = _checked(section, key, text)
            except ValueError as error:
                problems.append(f"[{name}] {error}")
    if problems:
        raise ConfigError(f"{source}: " + "; ".join(problems))
    return Config(values)


def _checked(section: Section, name: str, text: str) -> Any:
    """The parsed value of a key. Raises ValueError."""
    if section.refused and not section.keys:
        return text
    key = section.keys.get(name)
    if key is None:
        raise ValueError(f"unknown key {name}{_nearest(name, section.keys)}")
    return parse_value(key, name, text)


def parse_value(key: Key, name: str, text: str) -> Any:
    """The value of the key ``name`` that is written ``text``. Raises ValueError."""
    try:
        value = key.kind.parse(text)
    except ValueError as error:
        raise ValueError(f"{name}={text}: expected {error}") from None
    if key.only is not None and value != key.only:
        raise ValueError(f"{name}={text}: not offered, leave it out")
    return value


def _nearest(name: str, known: Iterable[str]) -> str:
    return did_you_mean(name, known) or f" (known: {', '.join(known)})"


def did_you_mean(name: str, known: Iterable[str], prefix: str = "") -> str:
    """A hint at the known name that is most like ``name``, or ""."""
    folded = {item.lower(): item for item in known}
    match = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    return f" (did you mean {prefix}{folded[match[0]]}?)" if match else ""
