"""MindSpore Lite's Converter class, for scripts written for mindspore_lite."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

from converter.api import DECRYPT_MODES, PathLike, convert
from converter.config import Sections, read_sections
from converter.errors import UsageError
from converter.fmk import FmkType
from converter.report import Report
from lite_runtime.types import DataType, Format, ModelType

T = TypeVar("T")

_DATA_TYPES = (
    DataType.FLOAT32,
    DataType.FLOAT16,
    DataType.INT8,
    DataType.UINT8,
    DataType.INT32,
    DataType.INT64,
    DataType.UNKNOWN,
)


class _Setting(Generic[T]):
    """A property that takes values of its default's type, or only the allowed ones among them."""

    def __init__(self, default: T, allowed: Sequence[T] = (), check: Callable[[str, Any], None] | None = None) -> None:
        self._default = default
        self._allowed = allowed
        self._check = check

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> _Setting[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> _Setting[T] | T:
        if instance is None:
            return self
        value: T = vars(instance).get(f"_{self._name}", self._default)
        return value

    def __set__(self, instance: object, value: T) -> None:
        kind = type(self._default)
        if type(value) is not kind:
            raise TypeError(f"{self._name} must be {kind.__name__}, but got {type(value)}.")
        if self._allowed and value not in self._allowed:
            allowed = ", ".join(map(_shown, self._allowed))
            raise ValueError(f"{self._name} must be in [{allowed}], but got {_shown(value)}.")
        if self._check is not None:
            self._check(self._name, value)
        vars(instance)[f"_{self._name}"] = value


def _check_shapes(name: str, shapes: dict[Any, Any]) -> None:
    for key, shape in shapes.items():
        if not isinstance(key, str):
            raise TypeError(f"{name} key must be str, but got {type(key)}.")
        if not isinstance(shape, list):
            raise TypeError(f"{name} value must be list, but got {type(shape)} at key {key}.")
        for size in shape:
            if not isinstance(size, int) or isinstance(size, bool):
                raise TypeError(f"{name} value's element must be int, but got {type(size)} at key {key}.")


class Converter:
    """Settings of a conversion, with MindSpore Lite's names, types and checks.

    Attributes:
        weight_fp16: store float32 weights as float16.
        input_shape: new shapes of inputs by name, in the source's layout; -1 leaves a dimension open.
        input_format: layout of the 4-D inputs of the written model: NHWC or NCHW.
        input_data_type: element type of its inputs. FLOAT32, the default, and UNKNOWN leave them as in the source;
            for others a Cast is put behind the inputs.
        output_data_type: likewise for outputs.
        save_type: MINDIR_LITE, a .ms file, from the start (MindSpore Lite: MINDIR). MINDIR is refused on conversion.
        decrypt_key: key of an encrypted MINDIR, in hexadecimal digits.
        decrypt_mode: "AES-GCM" or "AES-CBC".
        enable_encryption, encrypt_key: encrypting the output is not offered, it is refused on conversion.
        infer: run the converted model once before it is written.
        optimize: "none" or "general"; "ascend_oriented" is refused on conversion.
        device: "Ascend" is refused on conversion.

    Errors of a conversion are a ``ConvertError``, which is a RuntimeError, and name file, node and cause.

    Example:
        >>> converter = Converter()
        >>> converter.weight_fp16 = True
        >>> report = converter.convert(FmkType.MINDIR, "net.mindir", "net")
    """

    weight_fp16 = _Setting(False)
    input_shape = _Setting[dict[str, list[int]]]({}, check=_check_shapes)
    input_format = _Setting(Format.NHWC, (Format.NCHW, Format.NHWC))
    input_data_type = _Setting(DataType.FLOAT32, _DATA_TYPES)
    output_data_type = _Setting(DataType.FLOAT32, _DATA_TYPES)
    save_type = _Setting(ModelType.MINDIR_LITE)
    decrypt_key = _Setting("")
    decrypt_mode = _Setting("AES-GCM", DECRYPT_MODES)
    enable_encryption = _Setting(False)
    encrypt_key = _Setting("")
    infer = _Setting(False)
    optimize = _Setting("general", ("none", "general", "ascend_oriented"))
    device = _Setting("", ("Ascend",))

    def __init__(self) -> None:
        self._config_info: dict[str, dict[str, str]] = {}

    def set_config_info(self, section: str = "", config_info: dict[str, str] | None = None) -> None:
        """Sets one section of the configuration, as in a configuration file. Checked on conversion."""
        _check_type("section", section, str)
        _check_type("config_info", {} if config_info is None else config_info, dict)
        for key, value in (config_info or {}).items():
            if not isinstance(key, str):
                raise TypeError(f"config_info key must be str, but got {type(key)}.")
            if not isinstance(value, str):
                raise TypeError(f"config_info val must be str, but got {type(value)} at key {key}.")
        if section:
            self._config_info[section] = dict(config_info or {})

    def get_config_info(self) -> dict[str, dict[str, str]]:
        """The sections that were set."""
        return {section: dict(keys) for section, keys in self._config_info.items()}

    def convert(
        self,
        fmk_type: FmkType,
        model_file: PathLike,
        output_file: PathLike,
        weight_file: PathLike = "",
        config_file: PathLike = "",
    ) -> Report:
        """Converts a model; see ``converter.convert``. A section may be set by ``set_config_info`` or stand in
        ``config_file``, not both.

        Raises TypeError for an argument of a wrong type, else a ConvertError.
        """
        _check_type("fmk_type", fmk_type, FmkType)
        files = {"model_file": model_file, "output_file": output_file}
        for name, value in {**files, "weight_file": weight_file, "config_file": config_file}.items():
            _check_type(name, value, str, os.PathLike)
        self._refuse()
        return convert(
            model_file,
            output_file,
            fmk_type,
            weight_file=weight_file,
            config=self._config(config_file),
            input_shape=self.input_shape,
            input_format=self.input_format,
            input_data_type=_as_in_source(self.input_data_type),
            output_data_type=_as_in_source(self.output_data_type),
            fp16=self.weight_fp16,
            optimize=self.optimize,
            infer=self.infer,
            decrypt_key=self.decrypt_key,
            decrypt_mode=self.decrypt_mode,
        )

    def _refuse(self) -> None:
        if self.save_type != ModelType.MINDIR_LITE:
            raise UsageError("save_type MINDIR is not offered: use ModelType.MINDIR_LITE, which writes a .ms file")
        if self.enable_encryption or self.encrypt_key:
            raise UsageError("enable_encryption and encrypt_key are not offered: the output cannot be encrypted")
        if self.device:
            raise UsageError(f"device {self.device} is not offered: models are written for the CPU")

    def _config(self, config_file: PathLike) -> PathLike | Sections:
        if not os.fspath(config_file) or not self._config_info:
            return config_file or self._config_info
        from_file = read_sections(Path(config_file))
        for section in from_file:
            if section in self._config_info:
                raise UsageError(f"section [{section}] is set by set_config_info and stands in {config_file}")
        return {**from_file, **self._config_info}

    def __str__(self) -> str:
        names = [name for name, value in vars(type(self)).items() if isinstance(value, _Setting)]
        values = {"config_info": self._config_info, **{name: getattr(self, name) for name in names}}
        return ",\n".join(f"{name}: {_shown(value)}" for name, value in values.items()) + "."


def _as_in_source(dtype: DataType) -> DataType:
    return DataType.UNKNOWN if dtype == DataType.FLOAT32 else dtype


def _check_type(name: str, value: object, *kinds: type[Any]) -> None:
    if not isinstance(value, kinds):
        raise TypeError(f"{name} must be {kinds[0].__name__}, but got {type(value)}.")


def _shown(value: object) -> str:
    return f"{type(value).__name__}.{value.name}" if isinstance(value, (DataType, Format, ModelType)) else str(value)
