"""The language of the schema: what an annotated `TypedDict` asks of plain dicts, lists and arrays.

`analysis.payload.contract` declares every key of a payload in it. A form is compiled from such a
type once; `check` compares a value with it, and `list_keys` names its leaves for documentation.
Shapes hold numbers and letters: a letter has one length throughout a check, which the caller gives
(channels) or the first array in the dict that holds it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, NotRequired, Union, get_args, get_origin, get_type_hints
from typing import is_typeddict as is_typed_dict

from analysis.language import _

Sizes = Mapping[str, int]
"""Length of the axes by letter."""


@dataclass(frozen=True)
class Doc:
    """What a key means, and in which unit, for documentation and labels."""

    text: str
    unit: str = ""


@dataclass(frozen=True)
class Label:
    """The name of an optional part, as the sentence on a missing one needs it."""

    text: str


@dataclass(frozen=True)
class Limits:
    """Least and greatest number; the greatest length of a text."""

    least: float
    most: float


@dataclass(frozen=True)
class Length:
    """Numbers of items that a list may have; a letter stands for the length of an axis."""

    choices: tuple[int | str, ...] = ()
    """Any where there are none."""
    most: int = 10**9


@dataclass(frozen=True)
class Array:
    """A plain CPU tensor or array."""

    dtype: str
    shape: tuple[int | str, ...]
    least: float | None = None
    """Smallest value; None where values are not checked. A checked array has no infinity."""
    nan: bool = False
    """Whether a checked array may have NaN."""
    any_width: bool = True
    """Whether numbers of the same kind with other bits are taken too, as from other versions."""
    other_dtype: str = ""
    """Another one that is written too."""


@dataclass(frozen=True)
class Keys:
    """The keys of a dict that has the same kind of value under several."""

    name: str
    """As documentation calls them."""
    pattern: str
    """Regular expression of a key that is a text; any other key is a fault."""
    required: tuple[str, ...] = ()
    """If there are any: just these are checked, and further keys are passed over."""


@dataclass(frozen=True)
class Form:
    """What is expected of one value."""

    kind: type
    """`dict`, `list`, `int`, `float`, `str`, `bool`, `NoneType`, or `object` for an array."""
    fields: Mapping[str, Form] = field(default_factory=dict)
    """Of a dict with known keys; unknown keys are passed over."""
    optional: frozenset[str] = frozenset()
    """Those of `fields` that may be missing."""
    item: Form | None = None
    """Of a list, and of a dict with `keys`."""
    keys: Keys | None = None
    array: Array | None = None
    limits: Limits | None = None
    length: Length | None = None
    doc: Doc = Doc("")
    label: str = ""
    alternatives: tuple[Form, ...] = ()
    """Other forms that the value may have."""

    def name(self) -> str:
        """Return the type as documentation gives it, such as ``float32 [C]`` or ``str or None``."""
        if self.array is not None:
            shape = ", ".join(map(str, self.array.shape))
            dtypes = filter(None, (self.array.dtype, self.array.other_dtype))
            own = " or ".join(f"{dtype} [{shape}]" for dtype in dtypes)
        else:
            own = "None" if self.kind is NoneType else self.kind.__name__
        return " or ".join([own, *(other.name() for other in self.alternatives)])


class FormError(ValueError):
    """A value is not as its form asks."""

    def __init__(self, key: str, expected: str, found: str) -> None:
        sentence = _("{key}: expected {expected}, found {found}")
        super().__init__(sentence.format(key=key, expected=expected, found=found[:200]))
        self.key = key


@lru_cache
def compile_form(hint: Any) -> Form:
    """Return the form of a type: a `TypedDict`, or what one is made of."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is NotRequired:
        return compile_form(arguments[0])
    if origin is Annotated:
        marks = {_MARKS[type(mark)]: mark for mark in arguments[1:]}
        if (label := marks.pop("label", None)) is not None:
            marks["label"] = label.text
        base = compile_form(arguments[0])
        if "array" in marks and base.kind is not object:  # the array is one of the alternatives
            array = marks.pop("array")
            others = [replace(o, array=array) if o.kind is object else o for o in base.alternatives]
            base = replace(base, alternatives=tuple(others))
        return replace(base, **marks)
    if origin in (Union, UnionType):
        first, *others = map(compile_form, arguments)
        return replace(first, alternatives=tuple(others))
    if origin is dict:
        keys = next((mark for mark in get_args(arguments[0]) if isinstance(mark, Keys)), None)
        return Form(dict, item=compile_form(arguments[1]) if keys else None, keys=keys)
    if origin is list:
        return Form(list, item=compile_form(arguments[0]))
    if is_typed_dict(hint):
        hints = get_type_hints(hint, include_extras=True)
        fields = {name: compile_form(child) for name, child in hints.items()}
        optional = [
            n for n, h in hints.items() if not hint.__total__ or get_origin(h) is NotRequired
        ]
        return Form(dict, fields=fields, optional=frozenset(optional))
    return Form(hint)


_MARKS: Mapping[type, str] = {
    Doc: "doc",
    Label: "label",
    Limits: "limits",
    Length: "length",
    Array: "array",
}


def check(value: Any, form: Form, where: str, sizes: Sizes) -> None:
    """Compare a value with a form.

    Args:
        value: Plain dicts, lists, numbers, texts, tensors or arrays.
        form: What is expected.
        where: Dotted key of the value, for the error.
        sizes: Length of the axes that are known.

    Raises:
        FormError: At the first key that is not as its form asks.
    """
    _check(value, form, where, dict(sizes))


def _check(value: Any, form: Form, where: str, sizes: dict[str, int]) -> None:
    for other in form.alternatives:
        if _is_of_kind(value, other):
            return _check(value, other, where, sizes)
    if not _is_of_kind(value, form):
        words = [_KINDS.get(one.kind, one.name()) for one in (form, *form.alternatives)]
        raise FormError(where, " or ".join(words), f"a {type(value).__name__}")
    if form.array is not None:
        _check_array(value, form.array, where, sizes)
    elif form.kind is dict:
        _check_dict(value, form, where, sizes)
    elif form.kind is list:
        length = form.length or Length()
        choices = [sizes.get(str(n), n) for n in length.choices]
        if (choices and len(value) not in choices) or len(value) > length.most:
            expected = f"{choices[-1]} items" if choices else f"at most {length.most} items"
            raise FormError(where, expected, str(len(value)))
        item = form.item or Form(object)
        plain = item == Form(item.kind)  # a list may hold 10^5 paths: no key is made for each
        for place, one in enumerate(value):
            if not (plain and _is_of_kind(one, item)):
                _check(one, item, f"{where}.{place}", sizes)
    elif form.limits is not None:
        number = len(value) if form.kind is str else value
        if not form.limits.least <= number <= form.limits.most:  # NaN is not either
            expected = f"{form.limits.least:,} to {form.limits.most:,}"
            what = "characters, of a text" if form.kind is str else ""
            raise FormError(where, f"{expected} {what}".strip(), f"{number!r:.40}")
    return None


def _check_dict(value: Any, form: Form, where: str, sizes: dict[str, int]) -> None:
    if form.keys is None:
        own = dict(sizes)  # a letter that an array of this dict fixes holds for this dict
        for key, child in form.fields.items():
            if key in value:
                _check(value[key], child, f"{where}.{key}", own)
            elif key not in form.optional:
                raise FormError(f"{where}.{key}", "this key", f"only {shorten(value)}")
        return
    assert form.item is not None
    for key in form.keys.required or value:
        if key not in value:
            raise FormError(f"{where}.{key}", "this key", f"only {shorten(value)}")
        if not isinstance(key, str) or not re.fullmatch(form.keys.pattern, key):
            raise FormError(where, f"keys like {form.keys.pattern}", repr(key))
        _check(value[key], form.item, f"{where}.{key}", sizes)


def _check_array(value: Any, array: Array, where: str, sizes: dict[str, int]) -> None:
    found_shape = tuple(value.shape)
    if len(found_shape) == len(array.shape):
        for axis, size in zip(array.shape, found_shape, strict=True):
            if isinstance(axis, str) and 1 <= size <= _MAX_FREE:
                sizes.setdefault(axis, size)
    shape = tuple(sizes.get(axis, axis) if isinstance(axis, str) else axis for axis in array.shape)
    dtype = str(value.dtype).removeprefix("torch.")
    kinds = [name.rstrip("1234568") if array.any_width else name for name in (dtype, array.dtype)]
    if kinds[0] != kinds[1] or found_shape != shape:
        raise FormError(where, f"{kinds[1]} {shape}", f"{dtype} {found_shape}")
    layout, device = getattr(value, "layout", None), getattr(value, "device", "cpu")
    if str(layout or "torch.strided") != "torch.strided" or str(device) != "cpu":
        raise FormError(where, "a plain CPU tensor", f"a {layout} tensor on {device}")
    lazy = any(getattr(value, name, bool)() for name in ("is_neg", "is_conj"))
    if getattr(value, "requires_grad", False) or lazy:
        raise FormError(where, "a plain tensor", "one that is a parameter or a lazy view")
    if array.least is not None:
        import numpy as np  # not for JSON, which a reader answers sooner without

        numbers = np.asarray(value)
        wrong = np.isinf(numbers) if array.nan else ~np.isfinite(numbers)
        if wrong.any():
            expected = "finite numbers or NaN" if array.nan else "finite numbers"
            raise FormError(where, expected, f"{int(wrong.sum())} NaN or infinite value(s)")
        if (numbers < array.least).any():
            raise FormError(
                where, f"{array.least:g} or more", f"a minimum of {np.nanmin(numbers):.4g}"
            )


def _is_of_kind(value: Any, form: Form) -> bool:
    if form.array is not None:
        return hasattr(value, "dtype") and hasattr(value, "shape")
    if form.kind is dict:
        return isinstance(value, Mapping)
    if form.kind is list:
        return isinstance(value, list | tuple)
    if form.kind is float:
        return type(value) in (int, float)
    return isinstance(value, str) if form.kind is str else type(value) is form.kind


def list_keys(form: Form, path: str) -> Iterator[tuple[str, Form]]:
    """Yield the dotted key and the form of each leaf; ``<name>`` stands for several keys."""
    if form.keys is not None and form.item is not None:
        yield from list_keys(form.item, f"{path}.<{form.keys.name}>")
    elif form.fields:
        for key, child in form.fields.items():
            yield from list_keys(child, f"{path}.{key}" if path else key)
    else:
        yield path, form


def shorten(keys: Any) -> str:
    """Return a few keys of a dict in words."""
    names = [repr(key)[:40] for key in list(keys)[:10]]
    return ", ".join(names) + (", ..." if len(keys) > 10 else "") if names else "nothing"


_KINDS = {dict: "a dict", list: "a list", str: "a str", NoneType: "None"}
_MAX_FREE = 1024
"""Greatest length of an axis that only the file decides, such as that of the image groups."""
