"""LoRA against frozen: one click compares a version with its twin without the adapter."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from analysis.jobs.extractions import is_read_only
from analysis.language import _
from analysis.read.compare.twins import find_frozen_twin
from pages.components.frame import extraction_form, picker
from pages.components.shared import selection
from pages.components.shared.text import plain
from pages.components.shared.version import Version


def show(version: Version, compared: Version | None) -> None:
    """Offer the frozen twin of a version that has an adapter, or to extract it."""
    if not version.table.backbone.get("used_lora"):
        return
    twin = find_frozen_twin(version.ref, picker.list_visible())
    if twin is not None:
        if compared is None or twin.key != compared.ref.key:
            st.button(
                _("Compare with the frozen backbone ({name})").format(
                    name=plain(picker.name_refs([twin])[0])
                ),
                icon=":material/ac_unit:",
                key="frozen twin",
                on_click=_select,
                args=(twin.key,),
                help=_("The same backbone on the same images, without the adapter."),
            )
        return
    if compared is not None and not compared.table.backbone.get("used_lora"):
        return
    if is_read_only():
        st.caption(
            _("There is no payload of the frozen backbone of {name} on these images.").format(
                name=plain(version.name)
            )
        )
        return
    st.button(
        _("Extract the frozen backbone to compare with"),
        icon=":material/ac_unit:",
        key="extract frozen twin",
        on_click=_prefill,
        args=(version,),
        help=_("Fills in the form in the sidebar with the same config and no adapter."),
    )


def _select(key: str) -> None:
    """Compare with the twin; what was compared before stays beside it."""
    others = [other for other in (selection.recall("compare") or "").split(".") if other]
    selection.remember("compare", ".".join([key, *(other for other in others if other != key)]))
    selection.remember("against", key)


def _prefill(version: Version) -> None:
    run, meta = version.table.run, version.table.meta
    max_images = run.get("max_images")
    extraction_form.prefill(
        Path(str(meta.get("project_dir", "."))),
        config_name=str(run.get("config_name", "")),
        max_images=max_images if isinstance(max_images, int) else 0,
        precision=str(run.get("precision", "auto")),
    )
