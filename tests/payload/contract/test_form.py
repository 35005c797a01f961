"""A form takes what its type says, and names the key of everything else."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

import numpy as np
import pytest

from analysis.payload.contract.form import (
    Array,
    Doc,
    FormError,
    Keys,
    Length,
    Limits,
    check,
    compile_form,
    list_keys,
)


class Pair(TypedDict):
    a: Annotated[object, Array("float32", ("n",), least=0)]
    b: NotRequired[Annotated[object, Array("float32", ("n", "C"), least=0, nan=True)]]


class Tree(TypedDict, total=False):
    number: Annotated[float, Limits(0, 10), Doc("a number", "s")]
    text: Annotated[str | None, Limits(0, 3)]
    layers: Annotated[list[int], Length((0, "L"))]
    pairs: dict[Annotated[str, Keys("role", "cls|patch")], Pair]
    both: dict[Annotated[str, Keys("role", "cls|patch", ("cls", "patch"))], int]


FORM = compile_form(Tree)
SIZES = {"C": 2, "L": 3}


def ones(*shape: int) -> Any:
    return np.ones(shape, np.float32)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"number": 10, "text": None, "layers": []},
        {"number": 0.5, "text": "abc", "layers": [1, 2, 3], "unknown": object()},
        {"pairs": {"cls": {"a": ones(4), "b": ones(4, 2) * np.nan}, "patch": {"a": ones(5)}}},
        {"both": {"cls": 1, "patch": 2, "storage_0": "passed over"}},
    ],
)
def test_what_fits_is_taken(value: Any) -> None:
    check(value, FORM, "x", SIZES)


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ([], "x"),
        ({"number": float("nan")}, "x.number"),
        ({"number": True}, "x.number"),
        ({"number": 10**600}, "x.number"),
        ({"text": "abcd"}, "x.text"),
        ({"text": 1}, "x.text"),
        ({"layers": [1, 2]}, "x.layers"),
        ({"layers": [1, 2, "3"]}, "x.layers.2"),
        ({"pairs": {"other": {"a": ones(4)}}}, "x.pairs"),
        ({"pairs": {1: {"a": ones(4)}}}, "x.pairs"),
        ({"pairs": {"cls": {}}}, "x.pairs.cls.a"),
        ({"pairs": {"cls": {"a": ones(4), "b": ones(5, 2)}}}, "x.pairs.cls.b"),
        ({"pairs": {"cls": {"a": ones(4) * np.nan}}}, "x.pairs.cls.a"),
        ({"pairs": {"cls": {"a": -ones(4)}}}, "x.pairs.cls.a"),
        ({"pairs": {"cls": {"a": ones(0)}}}, "x.pairs.cls.a"),
        ({"pairs": {"cls": {"a": ones(4).astype(np.int32)}}}, "x.pairs.cls.a"),
        ({"both": {"cls": 1}}, "x.both.patch"),
    ],
)
def test_a_fault_is_named_by_its_key(value: Any, key: str) -> None:
    with pytest.raises(FormError) as caught:
        check(value, FORM, "x", SIZES)
    assert caught.value.key == key


def test_every_leaf_is_listed_with_type_and_unit() -> None:
    rows = {key: (form.name(), form.doc.unit) for key, form in list_keys(FORM, "x")}
    assert rows == {
        "x.number": ("float", "s"),
        "x.text": ("str or None", ""),
        "x.layers": ("list", ""),
        "x.pairs.<role>.a": ("float32 [n]", ""),
        "x.pairs.<role>.b": ("float32 [n, C]", ""),
        "x.both.<role>": ("int", ""),
    }
