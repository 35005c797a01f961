"""Which images moved or stand apart, and where all of them lie at a layer."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.language import _
from analysis.payload.features import Features
from analysis.read.worth.layers import Planes, Ranked
from analysis.read.worth.pairs import PairTest
from analysis.read.worth.tables import tabulate_columns
from analysis.show.figures import similarity as figures
from analysis.show.figures import theme
from analysis.show.figures.theme import Mode
from analysis.show.view import View, describe_one, describe_versions
from analysis.vocabulary import Cell

STRIP = 6
"""Images that are picked out of all."""


def ranked_images(
    features: Features,
    name: str,
    cell: Cell,
    ranked: Ranked,
    baseline: str | None = None,
    mode: Mode = "light",
) -> View:
    """Return the images that moved most from a baseline, or that stand furthest from all others.

    Args:
        features: Of the version.
        name: The version.
        cell: Layer, representation and role.
        ranked: What each image is ranked by.
        baseline: The version that it moved from; None where images stand apart.
        mode: Light or dark.
    """
    order = ranked.order
    images = features.images[ranked.images[order]]
    if baseline is None:
        title, label = (
            _("Images far from all others"),
            _("distance to the 5 nearest, over the median's"),
        )
        caption = _(
            "Mean distance to the five nearest images, over that of the median "
            "image. Far images are rare, odd or mislabelled; that alone does "
            "not make them wrong."
        )
    else:
        title, label = _("Images that moved"), _("own movement, in spreads between images")
        caption = _(
            "Distance between an image's vectors in the two versions, less the "
            "shift that all images have in common ({common:.2f}), over the "
            "spread between images in {baseline}. At 1, an image moved as far "
            "as two images differ."
        ).format(common=ranked.common, baseline=baseline)
    names = (name, baseline) if baseline is not None else (name, name)
    return View(
        f"{title}, {theme.describe_channels(cell)}",
        "images that moved" if baseline is not None else "images apart",
        figures.build_ranked(ranked.values[order], images, label, STRIP, mode),
        lambda: tabulate_images(features, ranked, "moved" if baseline is not None else "apart"),
        caption=caption,
        clickable=True,
        **describe_versions(names),
    )


def tabulate_images(features: Features, ranked: Ranked, column: str) -> pd.DataFrame:
    """Return the images, largest first, with their targets and categories."""
    order = ranked.order
    frame = tabulate_columns(features).iloc[ranked.images[order]].reset_index(drop=True)
    place = 2 if features.paths else 1
    frame.insert(place, column, ranked.values[order], allow_duplicates=True)
    return frame


def map_of_images(
    features: Features,
    name: str,
    cell: Cell,
    planes: Planes,
    target: str | None,
    mode: Mode = "light",
) -> View:
    """Return the images along two principal components of a layer.

    Args:
        features: Of the version.
        name: The version.
        cell: Layer, representation and role.
        planes: Of every layer, in this representation and role.
        target: Column that colours the points; None for one colour.
        mode: Light or dark.
    """
    place = features.table.position(cell.layer)
    images = features.images[planes.images]
    colored = None
    if target is not None:
        column = features.targets.get(target)
        column = features.categories[target] if column is None else column
        colored = target, column[planes.images]
    points, shares = planes.points[place], planes.shares[place]
    frame = pd.DataFrame(
        {"image": images, "component_1": points[:, 0], "component_2": points[:, 1]}
    )
    if features.paths:
        frame.insert(1, "path", np.array(features.paths)[planes.images])
    if colored is not None and target not in frame:
        frame[target] = colored[1]
    return View(
        _("Map of the images, {channels}").format(channels=theme.describe_channels(cell)),
        "map of images",
        figures.build_plane(points, shares, images, colored, mode),
        frame,
        caption=_(
            "{count} images along the two directions of largest variance. What "
            "lies apart here is apart; what lies together may differ in the "
            "directions not drawn."
        ).format(count=len(images)),
        rows=8,
        clickable=True,
        **describe_one(name),
    )


def pairs_sentence(found: PairTest, names: tuple[str, str]) -> str:
    """Return how many channels moved beyond what the images' own differences explain."""
    count, channels = int(found.differs.sum()), len(found.differs)
    size = float(np.sqrt(np.square(found.shift).mean()))
    return _(
        "From {names_2} to {names_1} the means of the channels moved by "
        "{size:.3f} standard deviations (root mean square); by pairs of "
        "{images} images, {count} of {channels} channels moved by more "
        "than noise, at a false discovery rate of 1%."
    ).format(
        names_2=names[1],
        names_1=names[0],
        size=size,
        images=found.images,
        count=count,
        channels=channels,
    )


def categories(name: str, cell: Cell, column: str, frame: pd.DataFrame) -> View:
    """Return how the images of each category stand apart at a layer, as a table."""
    return View(
        f"{column}, {theme.describe_channels(cell)}",
        "categories",
        frame=frame.rename(columns={"category": column}),
        caption=_(
            "Distance: of the mean of these images from that of all. Spread: "
            "of these images around their own mean. Both in units of the "
            "spread of all images."
        ),
        **describe_one(name),
    )
