"""Whether sizes may be compared: max |x| only grows with the number of tokens behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from analysis.language import _
from analysis.payload.table import StatsTable
from analysis.vocabulary import TokenRole
from pages.components.shared.text import plain
from pages.components.shared.version import Version


def warn_of_roles(tokens: Mapping[str, int]) -> None:
    """Say that max |x| of kinds of tokens of which there are not as many is not comparable.

    Args:
        tokens: By what people call the role, how many are behind its numbers.
    """
    if len(set(tokens.values())) > 1:
        counts = _(", ").join(f"{role} {count:,}" for role, count in tokens.items())
        st.caption(
            ":material/balance: "
            + _(
                "max |x| grows with the number of tokens ({counts}): compare depths and "
                "channels, not the kinds of tokens."
            ).format(counts=counts)
        )


def warn_of_versions(versions: Sequence[Version]) -> None:
    """Say that max |x| of versions that were measured on other numbers of tokens is not comparable.

    As of 100 images against all.
    """
    counts = {version.name: _count(version.table) for version in versions}
    if len(set(counts.values())) > 1:
        shares = _(", ").join(
            _("{name} {count:,} of {value} images").format(
                name=plain(name), count=count, value=plain(f"{version.table.num_images:,}")
            )
            for (name, count), version in zip(counts.items(), versions, strict=True)
        )
        st.warning(
            _(
                "max |x| grows with the number of tokens, and these versions were "
                "measured on different ones (patch tokens per layer: {shares}): "
                "their max |x| is not comparable, mean and std are."
            ).format(shares=shares),
            icon=":material/balance:",
        )


def _count(table: StatsTable) -> int:
    return table.count(int(table.layers[-1]), TokenRole.PATCH)
