"""Configs that differ only in fold or seed have one recipe, all others have not."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.read.recipe import hash_recipe

CONFIG: dict[str, Any] = {
    "version": "winter-fold1",
    "train": {"seed": 7, "lr": 1e-4, "init": "runs/winter-fold1/last.pt"},
    "data": {"fold": 1, "num_folds": 5},
}


def change(part: str, **values: Any) -> dict[str, Any]:
    return CONFIG | {part: CONFIG[part] | values}


def test_another_fold_and_seed_are_the_same_recipe() -> None:
    other = CONFIG | {
        "version": "winter-fold2",
        "train": {"seed": 8, "lr": 1e-4, "init": "runs/winter-fold2/last.pt"},
        "data": {"fold": 2, "num_folds": 5},
    }
    assert hash_recipe(other) == hash_recipe(CONFIG) is not None


@pytest.mark.parametrize("changed", [change("train", lr=2e-4), change("data", num_folds=4)])
def test_any_other_setting_is_another_recipe(changed: dict[str, Any]) -> None:
    assert hash_recipe(changed) != hash_recipe(CONFIG)


def test_a_config_without_fold_or_seed_has_no_recipe() -> None:
    assert hash_recipe({"version": "a", "data": {"num_folds": 5, "seeds": 3}}) is None
