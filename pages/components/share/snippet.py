"""How a head uses the vector."""

from __future__ import annotations

import streamlit as st


def show(layer: int) -> None:
    """Show the lines of code for a layer."""
    st.code(
        'vector = load_file("normalization.safetensors")  # from safetensors.torch\n'
        f'mean, std, keep = (vector[f"layer_{layer}.{{name}}"] for name in ("mean", "std", "keep"))'
        "\nfeatures = (tokens - mean) / std.clamp_min(1e-6) * keep",
        language="python",
        wrap_lines=True,
    )
