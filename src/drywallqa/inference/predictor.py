"""Predict the masks of a photo, first from the whole photo and then, if needed, from tiles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drywallqa.backend import Backend, Features, Float
from drywallqa.background import prefetch
from drywallqa.imaging.letterbox import Letterbox, Placement, logit, sigmoid
from drywallqa.imaging.photo_quality import quality_notes
from drywallqa.imaging.photos import NotedPhoto
from drywallqa.inference.prediction import Prediction
from drywallqa.inference.queries import PromptQueries, PromptQuery
from drywallqa.inference.tiles import TileGrid, ViewPlan
from drywallqa.inference.tiling import PhotoLogits, RowBand, TiledView, checked_decode, upsample

_ROUNDING = 1e-3  # rounding error of interpolated logits
# Weight of the first tiled view in the decision about presence. The whole photo has the remaining weight.
# This weight separated walls with and without cracks best on 64 rendered walls of 8 to 16 megapixels and on
# 27 more walls with cracks of 1 to 30 px. Only tiles show hairline cracks, and only the whole photo shows
# whether a dark line runs straight through it.
_CLOSER = np.float32(2 / 3)


class PreparedPhoto(NamedTuple):
    """A photo that is prepared for the encoder.

    Attributes:
        image_id: The photo's name in predictions.
        window: The letterbox that fits photos to the model's input.
        views: The plan of views for each query.
        size: Height and width in px.
        pixels: uint8 [H,W,3]; kept only if tiles or refinements need them.
        whole: The model's input [3,h,w] and the photo's placement on that input; None if all views are tiled.
        quality: Remarks on defects of the photo.
    """

    image_id: str
    window: Letterbox
    views: list[ViewPlan]
    size: tuple[int, int]
    pixels: NDArray[np.uint8] | None
    whole: tuple[Float, Placement] | None
    quality: tuple[str, ...]


def prepare_photo(
    photo: NotedPhoto, image_id: str, queries: PromptQueries, window: Letterbox
) -> PreparedPhoto:
    """Plan the views of a photo, letterbox it if a view shows the whole photo, and note its defects."""
    pixels, notes = photo.pixels, photo.notes
    height, width = pixels.shape[:2]
    views = [query.views(height, width, window) for query in queries.each]
    whole = window.fit(pixels) if any(plan.whole for plan in views) else None
    needed = any(plan.factors for plan in views) or any(query.changes_masks for query in queries.each)
    quality = (*notes, *quality_notes(pixels))
    return PreparedPhoto(image_id, window, views, (height, width), pixels if needed else None, whole, quality)


def encode_photos(backend: Backend, ready: Sequence[PreparedPhoto]) -> list[Features]:
    """Encode whole photos in batches of the same shape, and return the features [1,…] of each photo."""
    canvases = {place: one.whole[0] for place, one in enumerate(ready) if one.whole is not None}
    encoded: dict[int, Features] = {}
    for shape in dict.fromkeys(canvas.shape for canvas in canvases.values()):
        members = [place for place, canvas in canvases.items() if canvas.shape == shape]
        features = backend.encode_image(np.stack([canvases[place] for place in members]))
        for row, place in enumerate(members):
            encoded[place] = tuple(part[row : row + 1] for part in features)
    return [encoded.get(place, ()) for place in range(len(ready))]


def predict(
    backend: Backend, ready: PreparedPhoto, features: Features, queries: PromptQueries, keep: bool
) -> Iterator[Prediction]:
    """Predict the mask of each query lazily. Only one prediction is in memory at a time.

    Args:
        backend: The running model.
        ready: The photo.
        features: Features of the whole photo [1,…].
        queries: The queries for which the photo was prepared.
        keep: Whether the predictions contain the probability of each pixel.

    Raises:
        BackendError: The model returned NaN or infinite logits.
    """
    each = tuple(
        query.for_closer_views() if plan.factors else query
        for query, plan in zip(queries.each, ready.views, strict=True)
    )
    predictions = {}
    for shown in dict.fromkeys(ready.views):
        own = [query for query, plan in zip(each, ready.views, strict=True) if plan == shown]
        needed = keep or any(query.changes_masks for query in own)
        photo = _PhotoQueries(backend, ready, shown, queries.keep(own))
        predictions[shown] = photo.predictions(features, needed)
    for query, plan in zip(each, ready.views, strict=True):
        yield _refine(next(predictions[plan]), query, ready, plan, keep)


class _PhotoQueries:
    """One photo with P prompts that use the same plan of views."""

    def __init__(
        self, backend: Backend, ready: PreparedPhoto, plan: ViewPlan, queries: PromptQueries
    ) -> None:
        self.backend, self.ready, self.plan, self.queries = backend, ready, plan, queries
        # If queries share a row of embeddings, their lowest thresholds are used.
        self.gates = np.full(len(queries.embeddings), np.inf)
        self.levels = np.full(len(queries.embeddings), np.inf, np.float32)
        for query in queries.each:
            self.gates[query.row] = min(self.gates[query.row], query.presence_threshold)
            self.levels[query.row] = min(self.levels[query.row], _least_logit(query))
        self.presence: Float = np.full(len(queries.embeddings), -np.inf, np.float32)

    def predictions(self, features: Features, keep: bool) -> Iterator[Prediction]:
        if not self.plan.factors:
            yield from self._predict_whole(self._whole(features), keep)
            return
        # Tiles are decoded once for all queries. Masks are stored as bits until the caller requests them.
        masks = [_MaskBits(query, self.ready, keep) for query in self.queries.each]
        for rows, parts in prefetch(self._bands(features, keep)):
            for mask in masks:
                mask.add(rows, parts[mask.query.row])
        presence = sigmoid(self.presence)
        while masks:
            mask = masks.pop(0)
            yield mask.finish(float(presence[mask.query.row]))

    def _predict_whole(self, view: PhotoLogits, keep: bool) -> Iterator[Prediction]:
        """Predict from the whole photo only, with one prediction in memory at a time."""
        presence = sigmoid(self.presence)
        for query in self.queries.each:
            mask, row = _MaskBits(query, self.ready, keep), slice(query.row, query.row + 1)
            if keep or presence[query.row] >= query.presence_threshold:
                level = np.full(1, -np.inf if keep else _least_logit(query), np.float32)
                for rows, (part,) in upsample([view.logits[row]], view, self.ready.size, level):
                    mask.add(rows, part)
            yield mask.finish(float(presence[query.row]))

    def _bands(self, features: Features, keep: bool) -> Iterator[RowBand]:
        """Run the model on finer and finer views while they are needed. Yield rows from top to bottom."""
        view = self._whole(features) if self.plan.whole else None
        deciding = 0 if self.plan.whole else 1  # index of the last tiled view that affects presence
        assert self.ready.pixels is not None, "the plan contains tiled views"
        for number, factor in enumerate(self.plan.factors):
            if number > deciding and not self._present.any():
                break
            grid = TileGrid.over(*self.ready.size, factor, self.ready.window)
            wanted = None if number <= deciding else self._present
            tiled = TiledView(
                self.backend,
                grid,
                self.ready.pixels,
                self.queries.embeddings,
                view,
                wanted,
                self.ready.image_id,
            )
            if number + 1 < len(self.plan.factors):
                view = tiled.decode()
            else:
                yield from self._upsampled(tiled.rows(), tiled, keep)
            if number <= deciding:
                alone = not self.plan.whole and number == 0
                both = (1 - _CLOSER) * self.presence + _CLOSER * tiled.presence
                self.presence = tiled.presence if alone else both
        else:
            return
        if view is not None:
            yield from self._upsampled([view.logits], view, keep)

    def _whole(self, features: Features) -> PhotoLogits:
        assert self.ready.whole is not None, "the plan contains a view of the whole photo"
        logits, presence = checked_decode(
            self.backend, features, self.queries.embeddings, self.ready.image_id
        )
        self.presence = presence[0]
        return PhotoLogits.whole(logits[0], self.ready.whole[1])

    @property
    def _present(self) -> NDArray[np.bool_]:
        """Bool [P]: whether the concept of each prompt is present, according to all evaluated views."""
        return np.asarray(sigmoid(self.presence).astype(np.float64) >= self.gates)

    def _upsampled(
        self, rows: Iterable[Float], grid: PhotoLogits | TiledView, keep: bool
    ) -> Iterator[RowBand]:
        """Upsample rows of a grid to the photo's size. If `keep` is false, skip areas with low logits."""
        levels = self.levels
        if keep:
            levels = np.full_like(self.levels, -np.inf)
        elif not isinstance(grid, TiledView) or grid.wanted is not None:  # presence is known
            levels = np.where(self._present, self.levels, np.inf).astype(np.float32)
        return upsample(rows, grid, self.ready.size, levels)


def _least_logit(query: PromptQuery) -> float:
    """Return a lower bound for the logits of pixels above the query's threshold."""
    return (-np.inf if query.threshold < 1e-6 else logit(query.threshold)) - _ROUNDING


class _MaskBits:
    """The mask of one query, collected row by row and stored as bits."""

    def __init__(self, query: PromptQuery, ready: PreparedPhoto, keep: bool) -> None:
        self.query, self.ready = query, ready
        height, self.width = ready.size
        self.bits = np.zeros((height, -(-self.width // 8)), np.uint8)
        self.probability = np.empty(ready.size, np.float32) if keep else None

    def add(self, rows: slice, part: tuple[slice, Float] | None) -> None:
        """Add some rows of the photo. `part` contains the columns and their mask logits."""
        if part is None:
            return
        columns, values = part[0], sigmoid(part[1])
        marked = np.zeros((len(values), self.width), np.bool_)
        marked[:, columns] = values > np.float32(self.query.threshold)
        self.bits[rows] = np.packbits(marked, axis=1)
        if self.probability is not None:
            self.probability[rows, columns] = values

    def finish(self, presence: float) -> Prediction:
        """Create the prediction. The mask is empty if `presence` is below the threshold."""
        query = self.query
        mask: NDArray[np.bool_] = np.unpackbits(self.bits, axis=1, count=self.width).view(np.bool_)
        if presence < query.presence_threshold:
            mask = np.zeros_like(mask)
        return Prediction(
            mask, self.probability, presence, query.concept, query.threshold, query.prompt,
            self.ready.image_id, self.ready.quality, query.presence_threshold,
        )  # fmt: skip


def _refine(
    prediction: Prediction, query: PromptQuery, ready: PreparedPhoto, plan: ViewPlan, keep: bool
) -> Prediction:
    """Apply the query's refinement and kind of mask, and discard the probabilities if `keep` is false."""
    refinement, probability, outline = query.refinement, prediction.probability, prediction.mask
    if probability is None or (keep and not query.changes_masks):
        return prediction
    mask, unseen = outline, None
    if query.changes_masks and ready.pixels is not None and prediction.presence >= query.presence_threshold:
        # Refinements measure distances in px at 640, where the model's window is 640 px wide.
        unit = ready.window.size / plan.factors[-1] / 640 if plan.factors else max(outline.shape) / 640
        if refinement.soft:
            probability = refinement.soften(ready.pixels, probability, unit)
            outline = probability > np.float32(query.threshold)
        outline = refinement.harden(probability, outline, unit)
        mask, unseen = query.kind.apply(ready.pixels, outline, probability)
    return replace(
        prediction, mask=mask, kind=query.kind.name, outline=outline, unseen=unseen,
        probability=probability if keep else None,
    )  # fmt: skip
