"""Tiles to learn from, and blocks held out to score on, with a word where these are few."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from geofcn.core.geodesy import ground_resolution
from geofcn.errors import LabelsError
from geofcn.io.labels import LabelledScene
from geofcn.progress import Progress
from geofcn.training.plan import Plan
from geofcn.training.sampling import Selection, held_out_blocks, select
from geofcn.training.sources import names_of
from geofcn.training.survey import Survey
from geofcn.training.tiles import SourceWindow, TileCache
from geofcn.training.validation import HOUSE_AREA

# Held-out houses whose scores are rough.
FEW_HOUSES = 3

log = logging.getLogger(__name__)


def choose_tiles(tiles: TileCache, plan: Plan, statistics: Survey, progress: Progress) -> Selection:
    """The tiles to train on, and the windows held out for validation.

    None are held out where validation has a scene of its own, or the scenes are too small for it,
    which is said.

    Raises
    ------
    LabelsError
        Where there is no tile to learn from.
    """
    recipe = plan.recipe
    normalisation = plan.parent.normalisation if plan.parent else None

    def choose(held_out: Sequence[SourceWindow]) -> Selection:
        return select(tiles, recipe, statistics, held_out, progress, normalisation)

    if plan.has_own_validation or not recipe.validate_fraction:
        return choose(())
    held_out = held_out_blocks(tiles.sources, statistics, recipe)
    if held_out:
        try:
            selection = choose(held_out)
            _tell_few(tiles.sources, selection, statistics)
            return selection
        except LabelsError as error:
            log.info("%s", error)
    log.warning(
        "%s: too small, or with too few houses, to keep a part for validation.",
        ", ".join(names_of(tiles.sources)),
    )
    return choose(())


def _tell_few(sources: Sequence[LabelledScene], selection: Selection, statistics: Survey) -> None:
    """Say that a few houses are held out, where their scores may be what they are by chance."""
    houses = 0.0
    for number, window in selection.held_out:
        pixel = ground_resolution(sources[number].scene.grid)
        if pixel is None:
            return
        houses += statistics.counts[number].over(window)[1] * pixel**2 / HOUSE_AREA
    if houses < FEW_HOUSES:
        log.warning(
            "%s: so few houses are held out (about %.0f) that their scores, and the threshold and "
            "calibration found on them, are rough; label more, or give --validate.",
            ", ".join(names_of(sources)),
            houses,
        )


def tell_unvalidated(plan: Plan) -> None:
    """Say what the scores stand for where nothing is held out, and what is not found by them."""
    scored = "nothing is held out, so the scores are those of what is learnt from"
    if plan.parent is None:
        log.warning(
            "%s, and so are the threshold and the calibration, too sure of themselves elsewhere; "
            "label more, or give --validate.",
            scored,
        )
    else:
        log.warning("%s; threshold and calibration stay those of the model to start from.", scored)
