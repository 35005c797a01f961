"""What is said, in planted cases; above all what is not said."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.read.compare.findings import Finding, describe_comparison, name_layers
from analysis.read.compare.noise import NO_GROUPS
from analysis.read.compare.noise_table import NoiseTable
from analysis.read.compare.outlier_change import OutlierChange
from analysis.read.compare.overlap import Turnover
from analysis.vocabulary import Representation, TokenRole

LAYERS, CHANNELS = 12, 50
CLS, PATCH = 0, 1


def _noise(
    drift: dict[tuple[int, int], float], *, flagged: int = 9, floor: float = 0.01
) -> NoiseTable:
    """Return a comparison at its floor but for the drift at (layer, role), all representations."""
    shape = (LAYERS, 3, 2)
    found, channels = np.full(shape, floor), np.zeros(shape, dtype=np.int64)
    beyond = np.zeros(shape, dtype=bool)
    for (layer, role), value in drift.items():
        found[layer, :, role], channels[layer, :, role] = value, flagged
        beyond[layer, :, role] = True
    p = np.where(beyond, 0.0, 0.5)
    low, high = np.full((2, *shape), floor)
    return NoiseTable(np.arange(LAYERS), found, low, high, p, channels, beyond, True)


def _sentences(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.sentence for finding in findings]


def test_nothing_beyond_the_noise_is_said_to_be_within() -> None:
    (finding,) = describe_comparison(_noise({}))
    assert finding.sentence == "Patch tokens and the CLS token are within noise."
    assert finding.figure == "drift"
    assert finding.roles == (TokenRole.PATCH, TokenRole.CLS)


def test_drift_in_a_few_layers_concentrates_there() -> None:
    planted = {(layer, PATCH): 0.3 + 0.01 * layer for layer in range(8, 12)}
    findings = describe_comparison(_noise(planted))
    assert _sentences(findings) == [
        "Patch tokens: drift 0.41 of a standard deviation, small; concentrates in layers 8-11, "
        "largest in layer 11 (0.41 with its noise of 0.010, 9 channels flagged; at least 99% of "
        "the squared drift).",
        "The CLS token is within noise.",
    ]
    assert findings[0].layers == (8, 9, 10, 11)
    assert findings[0].peak == 11
    assert findings[0].roles == (TokenRole.PATCH,)


def test_drift_in_many_layers_does_not_concentrate() -> None:
    findings = describe_comparison(_noise({(layer, CLS): 0.2 for layer in range(2, 12)}))
    assert findings[0].sentence.startswith("The CLS token: drift 0.20 of a standard deviation, ")
    assert "more than noise in layers 2-11, " in findings[0].sentence
    assert findings[1].sentence == "Patch tokens are within noise."


def test_drift_in_every_layer_is_said_to_be_everywhere() -> None:
    findings = describe_comparison(_noise({(layer, PATCH): 0.2 for layer in range(LAYERS)}))
    assert "more than noise in every layer" in findings[0].sentence


def test_a_small_drift_amid_noise_does_not_concentrate() -> None:
    # the other layers' noise might hide as much
    findings = describe_comparison(_noise({(5, PATCH): 0.02}))
    assert findings[0].sentence == (
        "Patch tokens: drift 0.017 of a standard deviation, very small; more than noise in layer "
        "5 (0.020 with its noise of 0.010, 9 channels flagged)."
    )


def test_drift_on_both_sides_of_a_quiet_layer_does_not_concentrate_there() -> None:
    findings = describe_comparison(_noise({(8, PATCH): 0.5, (10, PATCH): 0.5}))
    assert "more than noise in layers 8, 10, largest" in findings[0].sentence


def test_a_drift_without_a_flagged_channel_is_not_pinned_on_channels() -> None:
    findings = describe_comparison(_noise({(5, PATCH): 0.5}, flagged=0))
    assert "no single channel stands out" in findings[0].sentence


def test_without_groups_only_the_reason_is_given() -> None:
    shape = (LAYERS, 3, 2)
    unknown, no = np.full(shape, np.nan), np.zeros(shape, dtype=bool)
    table = NoiseTable(
        np.arange(LAYERS),
        unknown,
        unknown,
        unknown,
        unknown,
        no.astype(np.int64),
        no,
        False,
        (NO_GROUPS,),
    )
    assert _sentences(describe_comparison(table)) == [NO_GROUPS]


def test_layers_without_groups_are_not_said_to_be_within_noise() -> None:
    table = _noise({})
    for values in (table.drift, table.noise_floor, table.drift_p):
        values[9:] = np.nan
    (finding,) = describe_comparison(table)
    assert finding.sentence.endswith("are within noise in the 9 of 12 layers whose noise is known.")


def test_identical_versions_are_called_the_same() -> None:
    (finding,) = describe_comparison(_noise({}, floor=0.0))
    assert finding.sentence.startswith("The versions do not differ at all")


def test_each_representation_speaks_for_itself() -> None:
    table = _noise({(5, PATCH): 0.5})
    table.beyond[:, 0] = False
    within = describe_comparison(table, Representation.PRE)
    beyond = describe_comparison(table, Representation.GLOBAL_LN)
    assert "within noise" in within[0].sentence
    assert "layer 5" in beyond[0].sentence
    assert beyond[0].representation is Representation.GLOBAL_LN


def _outliers(*places: tuple[int, int, int]) -> NDArray[np.bool_]:
    mask = np.zeros((LAYERS, 2, CHANNELS), dtype=bool)
    for place in places:
        mask[place] = True
    return mask


def test_outliers_new_and_gone_are_counted_with_their_layers() -> None:
    before = _outliers((3, PATCH, 7), (4, PATCH, 7), (5, CLS, 2))
    after = _outliers((3, PATCH, 7), (8, PATCH, 1), (8, PATCH, 4))
    turnover = {TokenRole.PATCH: Turnover(20, 4, (3, 5))}
    findings = describe_comparison(
        _noise({}), outliers=OutlierChange(before, after, turnover), names=("v1", "v2")
    )
    assert findings[-1].sentence == (
        "Outlier channels of v2 against v1: different in 2 of 12 layers for patch tokens, most in "
        "layer 8: 2 new (1, 4); of its 20 largest by root mean square, new: 4 (by chance 3 to 5); "
        "different for the CLS token only in layer 5: 1 gone (2). By max |x|, which is not "
        "tested for noise."
    )
    assert findings[-1].figure == "outliers"
    assert findings[-1].layers == (4, 5, 8)
    assert findings[-1].peak == 8  # where the page leads, and what the sentence names


def test_the_same_outliers_in_every_layer_are_called_the_same() -> None:
    mask = _outliers((3, PATCH, 7))
    findings = describe_comparison(_noise({}), outliers=OutlierChange(mask, mask))
    expected = "The same channels are outliers of both versions in every layer."
    assert findings[-1].sentence == expected


def test_the_same_outliers_at_another_depth_are_not_called_the_same() -> None:
    change = OutlierChange(_outliers((3, PATCH, 7)), _outliers((4, PATCH, 7)))
    sentence = describe_comparison(_noise({}), outliers=change)[-1].sentence
    assert "different in 2 of 12 layers" in sentence


def test_a_measurable_drift_may_be_called_negligible_and_the_scale_can_be_moved() -> None:
    table = _noise({(5, PATCH): 0.001}, floor=1e-5)
    assert "0.0010 of a standard deviation, measurable, negligible;" in _first(table)
    moved = describe_comparison(table, scale=((1e-4, "nothing"), (np.inf, "much")))
    assert "of a standard deviation, much;" in moved[0].sentence


def test_every_sentence_on_other_images_begins_with_them() -> None:
    mask = _outliers((3, PATCH, 7))
    for noise in (_noise({}), _noise({(5, PATCH): 0.5})):
        findings = describe_comparison(
            noise, outliers=OutlierChange(mask, mask), common_images=False
        )
        assert len(findings) >= 2
        assert all(each.startswith("On different images") for each in _sentences(findings))


def _first(table: NoiseTable) -> str:
    return describe_comparison(table)[0].sentence


def test_without_outliers_nothing_is_said_of_them() -> None:
    none = _outliers()
    assert len(describe_comparison(_noise({}), outliers=OutlierChange(none, none))) == 1


@pytest.mark.parametrize(
    ("layers", "expected"),
    [([3], "layer 3"), ([0, 1], "layers 0-1"), ([0, 2, 3, 9], "layers 0, 2-3, 9")],
)
def test_layers_are_named_by_ranges(layers: list[int], expected: str) -> None:
    assert name_layers(layers) == expected


def test_a_layer_whose_channels_are_all_constant_is_left_out() -> None:
    noise = _noise({(0, 1): np.nan, (1, 1): 0.4, (2, 1): 0.4})
    sentences = _sentences(describe_comparison(noise))
    assert any("Patch tokens" in sentence for sentence in sentences)
    assert not any("nan" in sentence for sentence in sentences)
