"""Settings of any peft version are understood; differences from the training config are said."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.collect.backbone.adapter_config import (
    build_lora_config,
)
from analysis.errors import AdapterError
from tests.factories.adapters import train_adapter


def stored_settings(**changes: Any) -> dict[str, Any]:
    return train_adapter().peft_config["default"].to_dict() | changes


def test_stored_settings_come_back() -> None:
    config, warnings = build_lora_config(stored_settings(r=6, lora_alpha=3, use_rslora=True))
    assert (config.r, config.lora_alpha, config.use_rslora) == (6, 3, True)
    assert config.target_modules == {"qkv"}
    assert warnings == []


def test_settings_of_an_older_peft_take_the_defaults() -> None:
    config, warnings = build_lora_config({"peft_type": "LORA", "r": 4, "target_modules": ["qkv"]})
    assert (config.r, config.lora_alpha, config.use_dora) == (4, 8, False)
    assert warnings == []


def test_setting_of_a_newer_peft_is_left_out_and_said() -> None:
    _, warnings = build_lora_config(stored_settings(use_hyper=True, off_by_default=None, n=0))
    assert len(warnings) == 1
    assert "use_hyper = True" in warnings[0]
    assert "off_by_default" not in warnings[0]


def test_network_access_is_never_asked_for() -> None:
    config, _ = build_lora_config(stored_settings(base_model_name_or_path="someone/model"))
    assert config.base_model_name_or_path is None


@pytest.mark.parametrize("initial", [True, False, "gaussian", "eva", "orthogonal"])
def test_initialisation_that_the_tensors_replace_is_not_run(initial: Any) -> None:
    config, warnings = build_lora_config(stored_settings(init_lora_weights=initial))
    assert config.init_lora_weights is True
    assert warnings == []


@pytest.mark.parametrize("initial", ["pissa", "pissa_niter_4", "olora"])
def test_initialisation_that_changes_the_base_is_kept_and_said(initial: str) -> None:
    config, warnings = build_lora_config(stored_settings(init_lora_weights=initial))
    assert config.init_lora_weights == initial
    assert initial in warnings[0]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"init_lora_weights": "pissa_niter_100000"}, "99 rounds"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"init_lora_weights": "loftq"}, "loftq"),
        ({"init_lora_weights": "corda"}, "corda"),
        ({"layers_to_transform": [1], "target_modules": "blocks.*"}, "peft refuses"),
    ],
)
def test_adapter_that_cannot_be_rebuilt_is_refused(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(AdapterError, match=expected):
        build_lora_config(stored_settings(**changes))


def test_module_that_a_head_names_is_not_imported() -> None:
    """peft imports what `megatron_core` names, while it builds the adapter."""
    settings = stored_settings(megatron_config={"a": 1}, megatron_core="antigravity")
    config, _ = build_lora_config(settings)
    assert config.megatron_config is None
    assert config.megatron_core == "megatron.core"
