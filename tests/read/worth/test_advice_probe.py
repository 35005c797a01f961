"""The advice on norms is held to probes: borne out, contradicted, or not to be told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from analysis.payload.features import STORED, Features, read_features
from analysis.payload.features import features_path as beside
from analysis.payload.image_vectors import ImageVectors, write_features
from analysis.payload.table import build_table
from analysis.read.worth.advice_probe import Verdict, hold_to_probe, summarise
from analysis.vocabulary import Representation
from tests.factories.payloads import make_payload, write_payload

IMAGES, CHANNELS = 80, 24


def write_features_of(path: Path, *, length_tells: bool, noise: bool = False) -> Features:
    """Write vectors whose target is in the tokens' length, which LN takes away, or in direction."""
    payload = make_payload(layers=2, channels=CHANNELS, outliers={}, version="v1")
    write_payload(path, payload)
    table, rng = build_table(payload), np.random.default_rng(0)
    tokens = rng.standard_normal((IMAGES, CHANNELS))
    tokens -= tokens.mean(axis=1, keepdims=True)
    tokens /= tokens.std(axis=1, keepdims=True)
    base = np.where(np.arange(CHANNELS) % 2, 1.0, -1.0)
    length = rng.uniform(1, 3, IMAGES)
    pre = (0.05 * tokens + base) * length[:, None] if length_tells else tokens
    normed = (pre - pre.mean(axis=1, keepdims=True)) / pre.std(axis=1, keepdims=True)
    values = np.empty((IMAGES, 2, 3, CHANNELS), np.float32)
    for place, (_, representation) in enumerate(STORED):
        values[:, :, place] = (pre if representation is Representation.PRE else normed)[:, None]
    target = rng.standard_normal(IMAGES) if noise else length if length_tells else tokens[:, 0]
    # means and stds of the payload must be those of the vectors, or float16 has no digits for them
    for layer in payload["layers"].values():
        for name, stats in layer.items():
            for role in stats.values():
                part = pre if name == "pre" else normed
                role["mean"] = torch.from_numpy(part.mean(axis=0).astype(np.float32))
                role["std"] = torch.from_numpy(part.std(axis=0).astype(np.float32))
    write_payload(path, payload)
    table = build_table(payload)
    ones = np.ones(CHANNELS, np.float32)
    vectors = ImageVectors(
        np.arange(IMAGES),
        values,
        [f"{n}.jpg" for n in range(IMAGES)],
        {"Mass": target.tolist()},
        norm={"gamma": ones, "beta": 0 * ones},
    )
    write_features(vectors, table, beside(path))
    return read_features(path)


def advice(norm: str) -> pd.DataFrame:
    return pd.DataFrame({"layer": [1], "role": ["patch"], "advice": [norm]})


@pytest.mark.parametrize(
    ("length_tells", "norm", "verdict"),
    [
        pytest.param(True, "raw", Verdict.AGREES, id="the length tells, and stays"),
        pytest.param(True, "per-layer LN", Verdict.WORSE, id="the length tells, LN takes it"),
        pytest.param(False, "raw", Verdict.AGREES, id="the direction tells"),
        pytest.param(False, "per-layer LN", Verdict.AGREES, id="the direction tells, LN leaves it"),
        pytest.param(False, "no advice", Verdict.UNKNOWN, id="nothing advised"),
    ],
)
def test_an_advice_that_costs_accuracy_may_not_be_trusted(
    tmp_path: Path, length_tells: bool, norm: str, verdict: Verdict
) -> None:
    features = write_features_of(tmp_path / "feature_stats" / "a.pt", length_tells=length_tells)
    found = hold_to_probe(features, advice(norm), "Mass")
    assert found["verdict"].tolist() == [verdict.value]
    sentence = summarise(found, "Mass")
    assert ("may not be trusted at layer 1 patch" in sentence) == (verdict is Verdict.WORSE)


def test_a_target_of_noise_cannot_judge(tmp_path: Path) -> None:
    path = tmp_path / "feature_stats" / "a.pt"
    found = hold_to_probe(
        write_features_of(path, length_tells=False, noise=True), advice("raw"), "Mass"
    )
    assert found["verdict"].tolist() == [Verdict.UNKNOWN.value]
    assert "cannot tell whether the advice holds" in summarise(found, "Mass")
