"""The result of an intervention: the sentences, the figure, and the image with the most change."""

from __future__ import annotations

import streamlit as st

from analysis.errors import InputError
from analysis.jobs.reader import load_photograph
from analysis.language import _
from analysis.payload.discovery import PayloadRef
from analysis.payload.features import read_features
from analysis.payload.intervention_file import InterventionResult
from analysis.payload.reading import Reading
from analysis.payload.recorded_files import find_photograph
from analysis.read.interventions import describe, largest_image, strongest_arm, tabulate_final
from analysis.read.worth.intervened import (
    ProbedIntervention,
    describe_probes,
    probe_targets,
    tabulate_probes,
)
from analysis.show.figures.theme import role_label
from analysis.show.views import interventions as views
from analysis.vocabulary import ROLES
from pages.components.shared import controls, downloads, selection
from pages.components.shared.cache import by_file
from pages.components.shared.text import plain
from pages.components.shared.version import Version


def show(result: InterventionResult, version: Version) -> None:
    """Show a result in views, the same that the report holds."""
    mode = downloads.mode()
    for sentence in describe(result):
        st.markdown(f"- {plain(sentence)}")
    if result.is_sweep:
        role = controls.choose_role()
        downloads.show(views.sweep(result, version.name, role, mode=mode))
        _show_probes(result, version)
        _show_largest(result, version)
        return
    measure = selection.choose(
        "measure",
        _("Measure"),
        list(views.MEASURES),
        default="relative",
        format_func=views.MEASURES.__getitem__,
    )
    downloads.show(views.over_depth(result, version.name, measure, mode=mode))
    _show_final(result)
    _show_probes(result, version)
    _show_largest(result, version)


def _show_final(result: InterventionResult) -> None:
    """Show how far what a head reads moves, beside the random channels."""
    percent = st.column_config.NumberColumn
    st.dataframe(
        tabulate_final(result),
        hide_index=True,
        key="final effects",
        column_config={
            "relative": percent(_("change of the final vector"), format="percent"),
            "control_mean": percent(_("random channels, mean"), format="percent"),
            "control_max": percent(_("random channels, largest"), format="percent"),
            "exceeds_controls": st.column_config.CheckboxColumn(_("more than random")),
        },
    )


def _show_probes(result: InterventionResult, version: Version) -> None:
    """Show what a linear probe of the final vectors loses, where images have targets."""
    facts = (result.statistics, result.arms, result.images, result.action, result.tokens)
    try:
        found = _probe(version.ref, version.reading, repr((facts, result.hold)), result)
    except InputError as error:
        st.caption(plain(_("No probe with the intervention in place: {error}").format(error=error)))
        return
    downloads.show(views.probes(found, version.name))
    st.markdown(plain(describe_probes(found)))
    number = st.column_config.NumberColumn
    st.dataframe(
        tabulate_probes(found),
        hide_index=True,
        key="intervention probes",
        column_config={
            "r2": number("R²", format="%.2f"),
            "r2_with_intervention": number(_("R² with the intervention"), format="%.2f"),
            "change": number(_("change"), format="%+.2f"),
            "standard_error": number(_("standard error"), format="%.2f"),
            "control_lowest": number(_("random channels, lowest"), format="%+.2f"),
            "control_highest": number(_("random channels, highest"), format="%+.2f"),
            "matters": st.column_config.CheckboxColumn(_("more than random")),
        },
    )


@by_file()
def _probe(
    ref: PayloadRef, reading: Reading, facts: str, _result: InterventionResult
) -> list[ProbedIntervention]:
    """Return the probes of a result that `facts` tells from others."""
    return probe_targets(_result, read_features(ref.path, reading.table))


def _show_largest(result: InterventionResult, version: Version) -> None:
    """Show the photograph whose final vector moves furthest, for each role."""
    columns = st.columns(len(ROLES))
    for column, role in zip(columns, ROLES, strict=True):
        arm = strongest_arm(result, role)
        name, change = largest_image(result, role, arm)
        with column:
            _show_photograph(name, version)
            st.caption(
                plain(
                    _("{name}: {role_label} changes most, by {change:.1%}").format(
                        name=name, role_label=role_label(role), change=change
                    )
                )
            )


def _show_photograph(name: str, version: Version) -> None:
    try:
        file = find_photograph(name, version.table.meta, selection.recall("folder"))
        size = version.table.run.get("image_size") or (64, 64)
        st.image(load_photograph(file, size))
    except InputError as error:
        st.caption(plain(str(error)))
