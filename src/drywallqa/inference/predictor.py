"""From a photo to the answers about it: shown whole, then closer where that helps, one answer at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, pairwise
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
from drywallqa.inference.refinement import pixel_unit
from drywallqa.inference.scales import ViewPlan
from drywallqa.inference.tiles import TileGrid
from drywallqa.inference.tiling import PhotoLogits, TiledView, checked_decode
from drywallqa.inference.upsampling import LogitUpsampler, RowBand

_ROUNDING = 1e-3  # logits by which a value between two others may pass both
_CLOSER = np.float32(2 / 3)
"""How much the first closer view counts beside the whole photo when it is decided whether a concept is there.

On 64 rendered walls of 8 to 16 megapixels and 27 more with cracks of 1 to 30 px, the two views told cracks
from none best together at this share: a closer view sees hairlines that all of the photo hides, and all of
the photo sees that a dark line runs straight through it.
"""


class PreparedPhoto(NamedTuple):
    """A photo about to be encoded.

    Attributes:
        image_id: What answers call it.
        views: How it is shown for each question.
        size: Its height and width in px.
        pixels: uint8 [H,W,3]; kept only where tiles or refinements need them.
        whole: The model's input [3,h,w] and where the photo lies on it; None where no view is of all of it.
        quality: Sentences on what the photo could not show.
    """

    image_id: str
    views: list[ViewPlan]
    size: tuple[int, int]
    pixels: NDArray[np.uint8] | None
    whole: tuple[Float, Placement] | None
    quality: tuple[str, ...] = ()


def prepare_photo(
    photo: NotedPhoto, image_id: str, questions: PromptQueries, window: Letterbox
) -> PreparedPhoto:
    """Decide how a photo is shown, make the view of all of it, and note what it could not show."""
    pixels, notes = photo
    height, width = pixels.shape[:2]
    views = [question.views(height, width, window) for question in questions.each]
    whole = window.fit(pixels) if any(each.whole for each in views) else None
    needed = any(each.factors for each in views) or any(question.refinement for question in questions.each)
    quality = (*notes, *quality_notes(pixels))
    return PreparedPhoto(image_id, views, (height, width), pixels if needed else None, whole, quality)


def encode_photos(backend: Backend, ready: Sequence[PreparedPhoto]) -> list[Features]:
    """Encode photos that are shown whole, those of one shape together, and give each its features [1,…]."""
    canvases = {place: one.whole[0] for place, one in enumerate(ready) if one.whole is not None}
    found: dict[int, Features] = {}
    for shape in dict.fromkeys(canvas.shape for canvas in canvases.values()):
        members = [place for place, canvas in canvases.items() if canvas.shape == shape]
        features = backend.encode_image(np.stack([canvases[place] for place in members]))
        for row, place in enumerate(members):
            found[place] = tuple(part[row : row + 1] for part in features)
    return [found.get(place, ()) for place in range(len(ready))]


def predict(
    backend: Backend,
    ready: PreparedPhoto,
    features: Features,
    questions: PromptQueries,
    window: Letterbox,
    keep: bool,
) -> Iterator[Prediction]:
    """Answer questions about a photo, one after the other, so that one answer at a time is held.

    Args:
        backend: The model.
        ready: The photo.
        features: Of the whole photo [1,…].
        questions: What is asked.
        window: How photos are brought to the model.
        keep: Whether the answers hold their probabilities.

    Raises:
        BackendError: The model returned NaN or infinite logits.
    """
    pairs = zip(questions.each, ready.views, strict=True)
    each = tuple(asked.for_closer_views() if views.factors else asked for asked, views in pairs)
    questions, found = PromptQueries(each, questions.embeddings), {}
    for views, asked in questions.split(ready.views).items():
        refining = any(question.refinement for question in asked.each)  # which needs the probability
        look = _Look(backend, ready, views, asked, window)
        found[views] = look.answers(features, keep or refining)
    for question, views in zip(questions.each, ready.views, strict=True):
        answer = apply_refinement(next(found[views]), question, ready, views, window, keep)
        yield replace(answer, quality=ready.quality) if ready.quality else answer


class _Look:
    """One photo, shown in one way, under P prompts."""

    def __init__(
        self,
        backend: Backend,
        ready: PreparedPhoto,
        views: ViewPlan,
        questions: PromptQueries,
        window: Letterbox,
    ) -> None:
        self.backend, self.ready, self.views, self.questions = backend, ready, views, questions
        self.window, self.embeddings = window, questions.embeddings
        # Of questions that share a row of embeddings, the one that is easiest to satisfy.
        self.gates = np.full(len(self.embeddings), np.inf)
        self.levels = np.full(len(self.embeddings), np.inf, np.float32)
        for question in questions.each:
            self.gates[question.row] = min(self.gates[question.row], question.presence_threshold)
            self.levels[question.row] = min(
                self.levels[question.row], _marking_logit(question.threshold) - _ROUNDING
            )
        self.presence: Float = np.full(len(self.embeddings), -np.inf, np.float32)

    def answers(self, features: Features, keep: bool) -> Iterator[Prediction]:
        """Answer each question."""
        if not self.views.factors:
            yield from self._answers_from_whole(self._whole(features), keep)
            return
        # Tiles are looked at once for all questions: until they are asked for, masks are held as bits.
        predict = [_Answer(question, self.ready.size, keep) for question in self.questions.each]
        for band in prefetch(self._bands(features, keep)):
            for answer in predict:
                answer.add(band)
        believed = sigmoid(self.presence)
        while predict:
            answer = predict.pop(0)
            yield answer.finish(float(believed[answer.question.row]), self.ready.image_id)

    def _answers_from_whole(self, view: PhotoLogits, keep: bool) -> Iterator[Prediction]:
        """Answer each question from the view of all of the photo, so that one answer at a time is held."""
        believed = sigmoid(self.presence)
        for question in self.questions.each:
            answer, row = _Answer(question, self.ready.size, keep), slice(question.row, question.row + 1)
            level = np.float32(-np.inf if keep else _marking_logit(question.threshold) - _ROUNDING)
            if keep or believed[question.row] >= question.presence_threshold:
                levels = np.full(1, level, np.float32)
                enlarger = LogitUpsampler(self.ready.size, view.down, view.across, levels)
                for band in enlarger.add(view.logits[row], last=True):
                    answer.add(band, row=0)
            yield answer.finish(float(believed[question.row]), self.ready.image_id)

    def _bands(self, features: Features, keep: bool) -> Iterator[RowBand]:
        """Look at the photo as closely as it takes, and yield its rows from top to bottom."""
        view = self._whole(features) if self.views.whole else None
        deciding = 0 if self.views.whole else 1  # the closer view that has a say in whether
        for number, factor in enumerate(self.views.factors):
            if number > deciding and not self._open.any():
                break
            closer = self._closer(factor, view, everywhere=number <= deciding)
            if number + 1 < len(self.views.factors):
                view = closer.look()
            else:
                yield from self._enlarge(closer.rows(), closer, keep)
            if number <= deciding:
                self._decide(closer.presence, alone=not self.views.whole and number == 0)
            if number + 1 == len(self.views.factors):
                return
        if view is not None:
            yield from self._enlarge(iter([view.logits]), view, keep)

    def _whole(self, features: Features) -> PhotoLogits:
        if self.ready.whole is None:
            raise ValueError(f"{self.ready.image_id}: was not prepared to be shown whole")
        logits, presence = checked_decode(self.backend, features, self.embeddings, self.ready.image_id)
        self.presence = presence[0]
        return PhotoLogits.whole(logits[0], self.ready.whole[1])

    def _closer(self, factor: float, view: PhotoLogits | None, *, everywhere: bool) -> TiledView:
        if self.ready.pixels is None:
            raise ValueError(f"{self.ready.image_id}: was not prepared to be shown in tiles")
        grid = TileGrid.over(*self.ready.size, factor, self.window)
        wanted = None if everywhere else self._open
        return TiledView(
            self.backend, grid, self.ready.pixels, self.embeddings, view, wanted, self.ready.image_id
        )

    @property
    def _open(self) -> NDArray[np.bool_]:
        """The prompts [P] that are believed to be in the photo."""
        return np.asarray(sigmoid(self.presence).astype(np.float64) >= self.gates)

    def _decide(self, closer: Float, *, alone: bool) -> None:
        """Let the closer look [P] have its say in whether, beside that of the whole photo."""
        self.presence = closer if alone else (1 - _CLOSER) * self.presence + _CLOSER * closer

    def _enlarge(self, rows: Iterator[Float], grid: PhotoLogits | TiledView, keep: bool) -> Iterator[RowBand]:
        """Bring rows of a grid to the photo's size; where only masks are wanted, what they can reach."""
        enlarger: LogitUpsampler | None = None
        for coming, following in pairwise(chain(rows, [None])):
            if coming is None:
                return
            if enlarger is None:
                levels = np.full_like(self.levels, -np.inf) if keep else self._levels(grid)
                enlarger = LogitUpsampler(self.ready.size, grid.down, grid.across, levels)
            yield from enlarger.add(coming, last=following is None)

    def _levels(self, grid: PhotoLogits | TiledView) -> Float:
        """The mask logits [P] of interest: none of a prompt that is not believed to be there."""
        if isinstance(grid, TiledView) and grid.wanted is None:
            return self.levels  # what is believed is not known yet
        return np.where(self._open, self.levels, np.inf).astype(np.float32)


def _marking_logit(probability: float) -> float:
    """Turn a threshold into a logit that nothing above the threshold falls short of."""
    return -np.inf if probability < 1e-6 else logit(probability)


class _Answer:
    """The answer to one question while a photo's rows come in; its mask is held as bits."""

    def __init__(self, question: PromptQuery, size: tuple[int, int], keep: bool) -> None:
        self.question, (height, self.width) = question, size
        self.bits = np.zeros((height, -(-self.width // 8)), np.uint8)
        self.probability = np.empty(size, np.float32) if keep else None

    def add(self, band: RowBand, row: int | None = None) -> None:
        """Take rows of the photo; `row` says which prompt of the band it is, where not the question's."""
        part = band.parts[self.question.row if row is None else row]
        if part is None:
            return
        columns, values = part[0], sigmoid(part[1])
        marked = np.zeros((len(values), self.width), np.bool_)
        marked[:, columns] = values > np.float32(self.question.threshold)
        self.bits[band.rows] = np.packbits(marked, axis=1)
        if self.probability is not None:
            self.probability[band.rows, columns] = values

    def finish(self, presence: float, image_id: str) -> Prediction:
        """Make the prediction: its mask is empty where presence is too low."""
        asked = self.question
        mask: NDArray[np.bool_] = np.unpackbits(self.bits, axis=1, count=self.width).view(np.bool_)
        if presence < asked.presence_threshold:
            mask = np.zeros_like(mask)
        return Prediction(
            mask, self.probability, presence, asked.concept, asked.threshold, asked.prompt, image_id,
            presence_threshold=asked.presence_threshold,
        )  # fmt: skip


def apply_refinement(
    prediction: Prediction,
    question: PromptQuery,
    ready: PreparedPhoto,
    views: ViewPlan,
    window: Letterbox,
    keep: bool,
) -> Prediction:
    """Let a question's refinement follow the model's own answer.

    Args:
        prediction: The answer; its probability has been kept where there is a refinement.
        question: What was asked.
        ready: The photo.
        views: How it was shown.
        window: How photos are brought to the model.
        keep: Whether the probability is wanted afterwards, too.
    """
    follows, probability, mask = question.refinement, prediction.probability, prediction.mask
    if probability is None or (keep and not follows):
        return prediction
    if follows and ready.pixels is not None and prediction.presence >= question.presence_threshold:
        # A window is what the model sees at once; as many px of the photo as fill it make 640.
        unit = window.size / views.factors[-1] / 640 if views.factors else pixel_unit(mask)
        if follows.soft:
            probability = follows.soften(ready.pixels, probability, unit)
            mask = probability > np.float32(question.threshold)
        mask = follows.harden(probability, mask, unit)
    return replace(prediction, mask=mask, probability=probability if keep else None)
