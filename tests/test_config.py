"""The configuration file: every documented key is known, everything else is an error that helps."""

from __future__ import annotations

from pathlib import Path

import pytest

from converter.config import SECTIONS, check_config, did_you_mean, read_config, read_sections
from converter.errors import ConfigError


def _write(folder: Path, text: str) -> Path:
    path = folder / "my.cfg"
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_sections_keys_and_comments(tmp_path: Path) -> None:
    path = _write(tmp_path, "\ufeff# remark\n\n[registry]\n  disable_fusion = on\n; remark\nfusion_blacklists=\n")
    assert read_sections(path) == {"registry": {"disable_fusion": "on", "fusion_blacklists": ""}}
    assert read_config(path).get("registry", "disable_fusion") is True


def test_keys_that_are_not_set_have_the_documented_default() -> None:
    config = check_config({}, "test")
    assert config.get("registry", "disable_fusion") is False
    assert config.get("common_quant_param", "bit_num") == 8
    assert config.get("common_quant_param", "min_quant_weight_channel") == 16
    assert config.get("mixed_bit_weight_quant_param", "init_scale") == 0.02
    assert config.get("full_quant_param", "activation_quant_method") == "MAX_MIN"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[registri]\n", r"unknown section \[registri\] \(did you mean registry\?\)"),
        ("[zzz]\n", r"unknown section \[zzz\] \(known: common_quant_param, "),
        ("[registry]\ndisable_fuson=on\n", r"\[registry\] unknown key disable_fuson \(did you mean disable_fusion\?\)"),
        ("[registry]\ndisable_fusion=yes\n", r"\[registry\] disable_fusion=yes: expected on or off"),
        ("[registry]\nplugin_path=x.so\n", r"\[registry\] plugin_path=x\.so: not offered, leave it out"),
        ("[micro_param]\nenable_micro=true\n", r"\[micro_param\] enable_micro=true: not offered, leave it out"),
        ("[micro_param]\ntarget=PIC\n", r"target=PIC: expected one of x86, Cortex-M, ARM32, ARM64, All"),
        ("[dynamic_quant_param]\nquant_strategy=ACWL\n", r"quant_strategy=ACWL: not offered, leave it out"),
        ("[common_quant_param]\nbit_num=17\n", r"bit_num=17: expected an integer from 0 to 16"),
        ("[common_quant_param]\nbit_num=8.5\n", r"bit_num=8\.5: expected an integer from 0 to 16"),
        ("[common_quant_param]\nmin_quant_weight_size=-1\n", r"expected an integer from 0 to 65535"),
        ("[common_quant_param]\nthread_num=0\n", r"thread_num=0: expected an integer of at least 1"),
        ("[common_quant_param]\nenable_encode=1\n", r"enable_encode=1: expected true or false"),
        ("[mixed_bit_weight_quant_param]\ninit_scale=1\n", r"init_scale=1: expected a number between 0 and 1"),
        ("[mixed_bit_weight_quant_param]\ninit_scale=nan\n", r"expected a number between 0 and 1"),
        ("[data_preprocess_param]\nnormalize_mean=1,x\n", r"expected numbers separated by commas"),
        ("[acl_option_cfg_param]\ndevice_id=0\n", r"\[acl_option_cfg_param\]: it configures Ascend devices"),
        ("[custom_opp_path]\nanything=1\n", r"\[custom_opp_path\]: it configures Ascend devices"),
        ("[registry\n", r"line 1: '\[registry' is not a section"),
        ("[registry]\nplugin_path\n", r"line 2: 'plugin_path' is neither \[section\] nor key=value"),
        ("a=b\n", r"line 1: 'a=b' stands before the first \[section\]"),
        ("[registry]\na=1\na=2\n", r"line 3: 'a=2': the key stands twice"),
        ("[registry]\n[registry]\n", r"line 2: '\[registry\]': the section stands twice"),
    ],
)
def test_wrong_files_are_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = _write(tmp_path, text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_config(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(_write(tmp_path, "[registry]\nx=1\ndisable_fusion=1\n[y]\n"))
    assert all(part in str(caught.value) for part in ("unknown key x", "disable_fusion=1", "unknown section [y]"))


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.cfg: cannot read the configuration file: No such file"):
        read_config(tmp_path / "none.cfg")
    with pytest.raises(ConfigError, match="cannot read the configuration file"):
        read_config(tmp_path)
    binary = tmp_path / "binary.cfg"
    binary.write_bytes(b"[registry]\n\xff\xfe")
    with pytest.raises(ConfigError, match=r"is not UTF-8 text \(byte 11\)"):
        read_config(binary)


def test_defaults_lie_in_their_own_ranges() -> None:
    for section in SECTIONS.values():
        for name, key in section.keys.items():
            if key.default == "":
                continue
            words = [str(key.default)]
            if isinstance(key.default, bool):
                words = ["true", "on"] if key.default else ["false", "off"]
            assert any(_accepts(key.kind, word, key.default) for word in words), name


def _accepts(kind: object, text: str, value: object) -> bool:
    try:
        return kind.parse(text) == value  # type: ignore[attr-defined]
    except ValueError:
        return False


def test_documented_sections_are_all_known() -> None:
    # The sections MindSpore Lite documents; a file that uses any of them gets an answer about that section.
    assert set(SECTIONS) == {
        "common_quant_param",
        "weight_quant_param",
        "mixed_bit_weight_quant_param",
        "full_quant_param",
        "dynamic_quant_param",
        "transform_quant_param",
        "data_preprocess_param",
        "registry",
        "acl_option_cfg_param",
        "cpu_option_cfg_param",
        "micro_param",
        "custom_opp_path",
        "graph_kernel_param",
        "auto_mixed_precision",  # ours
    }


def test_did_you_mean_ignores_case_and_gives_up_on_strangers() -> None:
    assert did_you_mean("modelfile", ["modelFile", "outputFile"], "--") == " (did you mean --modelFile?)"
    assert did_you_mean("zzz", ["modelFile"]) == ""
