"""Settings that differ between two configs."""

from __future__ import annotations

from analysis.read.compare.config_diff import config_diff, read_settings


def test_a_config_diff_lists_changed_added_and_removed_settings_only() -> None:
    a = {"version": "v1", "optim": {"lr": 0.1, "wd": 0}, "peft": {"r": 8, "targets": ["a"]}}
    b = {"version": "v1", "optim": {"lr": 0.2}, "peft": {"r": 8, "targets": ["a", "b"]}, "x": None}
    rows = {row["key"]: row.to_dict() for _, row in config_diff(a, b).iterrows()}
    assert rows == {
        "optim.lr": {"key": "optim.lr", "a": "0.1", "b": "0.2", "status": "changed"},
        "optim.wd": {"key": "optim.wd", "a": "0", "b": "", "status": "only in A"},
        "peft.targets": {
            "key": "peft.targets",
            "a": '["a"]',
            "b": '["a", "b"]',
            "status": "changed",
        },
        "x": {"key": "x", "a": "", "b": "null", "status": "only in B"},
    }


def test_a_config_diff_tells_true_from_one_and_a_mapping_from_nothing() -> None:
    diff = config_diff({"a": True, "b": {}, "c": {"d": 1}}, {"a": 1, "b": None, "c": 1})
    assert diff["key"].tolist() == ["a", "b", "c", "c.d"]


def test_a_config_diff_puts_model_and_adapter_before_the_rest() -> None:
    a = {"aug": 1, "data": {"x": 1}, "model": {"m": 1}, "version": 1, "peft": {"r": 1}}
    keys = config_diff(a, {})["key"].tolist()
    assert keys == ["version", "model.m", "peft.r", "data.x", "aug"]


def test_equal_configs_have_an_empty_diff_with_its_columns() -> None:
    diff = config_diff({"a": {"b": 1}}, {"a": {"b": 1}})
    assert diff.empty
    assert diff.columns.tolist() == ["key", "a", "b", "status"]


def test_the_adapter_that_was_measured_is_compared_beside_the_config() -> None:
    adapter = {"method": "LoRA", "rank": 4, "source": "a/head.pt", "peft_version": "0.17"}
    other = adapter | {"rank": 8, "source": "b/head.pt"}
    config = {"peft": {"r": 4}}
    a, b = (read_settings(config, {"adapter": x}) for x in (adapter, other))
    assert config_diff(a, b)[["key", "a", "b"]].to_numpy().tolist() == [
        ["measured_adapter.rank", "4", "8"]
    ]
    assert read_settings(config, {}) == config
