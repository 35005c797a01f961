"""The result of an intervention: the sentences, the figure, and the image with the most change."""

from __future__ import annotations

import streamlit as st

from analysis.errors import InputError
from analysis.payload.intervention_file import InterventionResult
from analysis.payload.recorded_files import find_photograph
from analysis.read.interventions import describe, largest_image, tabulate_final
from analysis.read.places.photographs import load_photograph
from analysis.show.figures.theme import role_label
from analysis.show.views import interventions as views
from analysis.vocabulary import ROLES
from pages.components.shared import controls, downloads, selection
from pages.components.shared.text import plain
from pages.components.shared.version import Version


def show(result: InterventionResult, version: Version) -> None:
    """Show a result in views, the same that the report holds."""
    mode = downloads.mode()
    for sentence in describe(result):
        st.markdown(f"- {plain(sentence)}")
    if len(result.select(control=False)) > 1:
        role = controls.choose_role()
        downloads.show(views.sweep(result, version.name, role, mode=mode))
        return
    measure = selection.choose(
        "measure",
        "Measure",
        list(views.MEASURES),
        default="relative",
        format_func=views.MEASURES.__getitem__,
    )
    downloads.show(views.over_depth(result, version.name, measure, mode=mode))
    _show_final(result)
    _show_largest(result, version)


def _show_final(result: InterventionResult) -> None:
    """Show how far what a head reads moves, beside the random channels."""
    percent = st.column_config.NumberColumn
    st.dataframe(
        tabulate_final(result),
        hide_index=True,
        key="final effects",
        column_config={
            "relative": percent("change of the final vector", format="percent"),
            "control_mean": percent("random channels, mean", format="percent"),
            "control_max": percent("random channels, largest", format="percent"),
            "exceeds_controls": st.column_config.CheckboxColumn("more than random"),
        },
    )


def _show_largest(result: InterventionResult, version: Version) -> None:
    """Show the photograph whose final vector moves furthest, for each role."""
    columns = st.columns(len(ROLES))
    for column, role in zip(columns, ROLES, strict=True):
        name, change = largest_image(result, role)
        with column:
            _show_photograph(name, version)
            st.caption(plain(f"{name}: {role_label(role)} changes most, by {change:.1%}"))


def _show_photograph(name: str, version: Version) -> None:
    try:
        file = find_photograph(name, version.table.meta, selection.recall("folder"))
        size = version.table.run.get("image_size") or (64, 64)
        st.image(load_photograph(file, size))
    except InputError as error:
        st.caption(plain(str(error)))
