"""What the vectors of single images tell, in a report: targets, similarity, images that stand out.

One target, in one representation and token role: the pages show the others.
"""

from __future__ import annotations

from analysis.errors import InputError
from analysis.language import _
from analysis.payload.features import Features
from analysis.read.worth.grams import LEFT_OUT
from analysis.read.worth.layers import rank_by_isolation, rank_by_movement
from analysis.read.worth.probe import probe
from analysis.read.worth.similarity import similarity
from analysis.show.report import page as html_page
from analysis.show.views import similarity as similarity_views
from analysis.show.views import single_images
from analysis.show.views import targets as target_views
from analysis.vocabulary import Cell, Representation, TokenRole

_SHOWN = Representation.PRE, TokenRole.PATCH
_LISTED = 20
"""Images in a table."""


def draw_targets(features: Features, name: str, slot: int = 0) -> list[str]:
    """Return how well the first target is predicted at every depth, and what the head reads.

    Args:
        features: Of the version.
        name: The version.
        slot: Its colour.
    """
    blocks = []
    head = target_views.head_layers(features.table, name)
    if head is not None:
        blocks.append(html_page.view(head))
    target = next(iter([*features.targets, *features.categories]), None)
    if target is None:
        return blocks
    cells = [Cell(layer, *_SHOWN) for layer in features.table.layers.tolist()]
    try:
        found = probe(features, target, cells=cells)
    except InputError as error:
        return [*blocks, html_page.sentences([str(error)])]
    drawn = target_views.versions_over_depth(features.table, {name: found}, slots={name: slot})
    return [
        html_page.sentences(target_views.find_sentences(found)),
        html_page.view(drawn),
        *blocks,
    ]


def draw_similarity(
    features: Features, name: str, baseline: tuple[str, Features] | None = None
) -> list[str]:
    """Return layers against layers, and the images that moved or stand alone.

    Args:
        features: Of the version.
        name: The version.
        baseline: Name and vectors of what it is compared with; itself where None.
    """
    other_name, other = baseline or (name, features)
    tables, names = (features.table, other.table), (name, other_name)
    cell = Cell(int(features.table.layers[-1]), *_SHOWN)
    blocks = []
    try:
        found = (
            similarity(features, other, representation=_SHOWN[0], role=_SHOWN[1]),
            similarity(
                features, other, representation=_SHOWN[0], role=_SHOWN[1], left_out=LEFT_OUT
            ),
        )
        blocks += [
            html_page.sentences(similarity_views.find_sentences(tables, names, found)),
            html_page.view(similarity_views.layers_against_layers(tables, names, _SHOWN, found)),
            html_page.view(similarity_views.same_layer(tables, names, _SHOWN, found)),
        ]
        if baseline is None:
            ranked, column, title = rank_by_isolation(features, cell), "apart", _("far from others")
        else:
            ranked, column, title = (
                rank_by_movement(other, features, cell),
                "moved",
                _("that moved"),
            )
        frame = single_images.tabulate_images(features, ranked, column).head(_LISTED)
        blocks.append(
            html_page.table(
                _("Images {title} most, layer {layer}").format(title=title, layer=cell.layer), frame
            )
        )
    except InputError as error:
        blocks.append(html_page.sentences([str(error)]))
    return blocks
