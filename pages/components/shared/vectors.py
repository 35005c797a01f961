"""The vectors of single images beside a payload, where there are some."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from analysis.errors import PayloadError
from analysis.language import _
from analysis.payload.features import Features, features_path, read_features
from pages.components.shared.text import plain
from pages.components.shared.version import Version


def find_features(version: Version) -> Features | None:
    """Return the vectors of single images of a version; None where it has none of its own."""
    try:
        return read_features(version.ref.path, version.table)
    except PayloadError:
        return None


def keep_with_vectors(versions: Sequence[Version]) -> list[Version]:
    """Return the versions that have vectors of single images; say why the others are not shown.

    Where none has any, the page ends here.
    """
    kept, sentences = [], []
    for version in versions:
        if not features_path(version.ref.path).exists():
            sentences.append(
                _(
                    "{name} is not shown: it was extracted, or uploaded, without vectors of single "
                    "images. Extract it anew, without --image-features 0."
                ).format(name=version.name)
            )
            continue
        try:
            read_features(version.ref.path, version.table)
            kept.append(version)
        except PayloadError as error:
            sentences.append(
                _("{name} is not shown. {error}").format(name=version.name, error=error)
            )
    if sentences:
        st.info("  \n".join(map(plain, sentences)), icon=":material/info:")
    if not kept:
        st.stop()
    return kept
