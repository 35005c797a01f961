"""The map of versions, and their table below it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from analysis.jobs.extractions import Job
from analysis.jobs.summaries import is_running
from analysis.language import _
from analysis.payload.fingerprint import Fingerprint
from analysis.show.views import home as views
from analysis.vocabulary import Representation
from pages.components.frame import picker
from pages.components.home import actions, choices, table
from pages.components.home.rows import Row, list_rows, score_by, unite
from pages.components.shared import cache, downloads, job_list, selection
from pages.components.shared.text import plain

POLL_SECONDS = 3
LOOK_SECONDS = 20
"""How often payloads that somebody else made are looked for."""

MAX_GROUPS = 12
"""Tables at most; with more groups there is one table."""

ROW_PIXELS = 35
MAX_PIXELS = 560


def show(chosen: choices.Choices) -> None:
    """Show the versions, drawn anew as long as some are being read or measured, or one is new."""
    list_rows(chosen.refs, chosen.baseline)  # starts what is missing
    is_polled = is_running() or any(job.is_live for job in job_list.current())
    seconds = POLL_SECONDS if is_polled else LOOK_SECONDS
    st.fragment(_show, run_every=seconds)(chosen, _list_files(), is_polled)


def _list_files() -> list[Fingerprint]:
    return [ref.fingerprint for ref in cache.find_payloads()]


def _show(chosen: choices.Choices, files: Sequence[Fingerprint], is_polled: bool) -> None:
    live = [job for job in job_list.look() if job.is_live]
    if _list_files() != files or is_polled != (bool(live) or is_running()):
        st.rerun()  # with the new payload, or at another pace
    rows = list_rows(chosen.refs, chosen.baseline)
    known = sum(row.is_known for row in rows)
    if known < len(rows):
        text = _("{known} of {count} versions read; the others follow by themselves").format(
            known=known, count=len(rows)
        )
        st.progress(known / len(rows), text=text)
    rows = score_by(rows, chosen.metric) if chosen.metric else rows
    rows = rows if chosen.folds == "off" else unite(rows, chosen.folds)
    _show_map(rows, chosen)
    _show_tables(rows, live, chosen)


def _show_map(rows: Sequence[Row], chosen: choices.Choices) -> None:
    by_name = {row.name: row for row in rows}
    baseline = picker.name_refs([chosen.baseline])[0]
    drifts = {row.name: row.drift.summary for row in rows if row.drift and row.drift.summary}
    found = views.version_map(
        drifts,
        baseline,
        chosen.role,
        downloads.mode(),
        has_families=any(row.members for row in rows),
    )
    if found is None:
        return
    st.markdown("  \n".join(map(plain, found.view.sentence.splitlines())))
    cell = downloads.show(found.view)
    if cell is not None:
        name, layer = found.find_cell(cell)
        selection.remember("layer", str(layer))
        selection.remember("representation", Representation.PRE.value)
        actions.compare(by_name[name].versions, chosen.baseline)


def _show_tables(rows: Sequence[Row], live: Sequence[Job], chosen: choices.Choices) -> None:
    base = next((row.summary for row in rows if row.is_baseline), None)
    outliers = base.summary.outlier_channels if base and base.summary else None
    if chosen.sort:
        rows = table.sort(rows, chosen.sort, chosen.role, outliers)
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(choices.name_group(row.ref, chosen.group), []).append(row)
    if len(groups) > MAX_GROUPS:
        st.caption(
            _("{count} groups are too many for a table each; they stand in one.").format(
                count=len(groups)
            )
        )
        groups = {"": [row for members in groups.values() for row in members]}
    picked: list[Row] = []
    place = st.container(horizontal=True, vertical_alignment="center", key="home actions")
    for number, (group, members) in enumerate(groups.items()):
        if group:
            st.subheader(
                _("{group} :gray[:small[{count}]]").format(group=plain(group), count=len(members)),
                anchor=False,
            )
        picked += _show_table(members, live if number == 0 else [], chosen, outliers, group)
    selection.remember("rows", ".".join(row.ref.key for row in picked) or None)
    selection.write_address()
    with place:
        actions.show(picked, chosen.baseline)


def _show_table(
    rows: Sequence[Row],
    live: Sequence[Job],
    chosen: choices.Choices,
    outliers: int | None,
    group: str,
) -> list[Row]:
    asked = (selection.recall("rows") or "").split(".")
    before = [len(live) + i for i, row in enumerate(rows) if row.ref.key in asked]
    frame = table.build_frame(rows, live, chosen.role, outliers)
    keys = hash(tuple(row.ref.key for row in rows))
    event = st.dataframe(
        frame,
        hide_index=True,
        key=f"versions {group} {len(live)} {keys:x}",  # a row of another list is another version
        height=min(MAX_PIXELS, ROW_PIXELS * (len(frame) + 1) + 3),
        placeholder="",
        column_order=table.order(chosen.columns, is_live=bool(live)),
        column_config=table.configure(),
        on_select="rerun",
        selection_mode="multi-row",
        selection_default={"selection": {"rows": before}},
    )
    numbers = [number - len(live) for number in event["selection"]["rows"]]
    return [rows[number] for number in numbers if 0 <= number < len(rows)]
