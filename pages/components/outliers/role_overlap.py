"""Whether the outliers of CLS, patches and registers are the same channels."""

from __future__ import annotations

import numpy as np
import streamlit as st

from analysis.language import _
from analysis.payload.extras import Part
from analysis.read.outliers import Score
from analysis.read.role_overlap import compare_roles
from analysis.show.figures.theme import role_label
from analysis.vocabulary import STATISTICS, Representation, TokenRole
from pages.components.outliers import tables
from pages.components.shared import absent, channel_links, downloads, fairness
from pages.components.shared.version import Version


def show(
    version: Version, layer: int, representation: Representation, score: Score, threshold: float
) -> None:
    """Show which channels are outliers in which token roles of a layer."""
    table = version.table
    statistics = {
        str(role): np.stack([table.get(layer, representation, role, s) for s in STATISTICS])
        for role in TokenRole
    }
    extras = version.extras
    for role in extras.storage_roles:
        values = extras.storage_of_layer(layer, representation, role)
        if values is not None:
            statistics[role] = values
    overlap = compare_roles(statistics, score, threshold)
    counts = _(", ").join(
        _("{number} ({role})").format(number=f"{int(mask.sum()):,}", role=role_label(role))
        for role, mask in overlap.outliers.items()
    )
    st.markdown(_("Outliers: {counts}.").format(counts=counts))
    with absent.say(quietly=True):
        extras.require(Part.STORAGE, statistics if len(statistics) > len(TokenRole) else None)
    if overlap.frame.empty:
        st.info(_("No role has an outlier here."), icon=":material/info:")
        return
    with_patches = overlap.jaccard[TokenRole.PATCH.value].to_numpy()
    shares = [
        _("{number} ({role})").format(number=f"{share:.2f}", role=role_label(role))
        for role, share in zip(overlap.outliers, with_patches, strict=True)
        if role != TokenRole.PATCH and np.isfinite(share)
    ]
    if shares:
        st.markdown(
            _(
                "Overlap with the patches' outliers (Jaccard index: 1 the same "
                "channels, 0 none common): {shares}."
            ).format(shares=_(", ").join(shares))
        )
    tokens = {role_label(role): table.count(layer, role) for role in TokenRole}
    if len(statistics) > len(TokenRole):
        tokens[_("each register")] = table.count(layer, TokenRole.CLS)  # one per image too
    fairness.warn_of_roles(tokens)
    channel_links.follow(tables.show_role_overlap(overlap))
    downloads.show_csv(overlap.frame, "role overlap", version.name)
