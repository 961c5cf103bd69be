"""An evaluation's pictures one by one, with no more words than their heads, for reports that caption them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from drywallqa.evaluation.evaluation import Evaluation
from drywallqa.evaluation.failures import Failure
from drywallqa.evaluation.measure import LabelledPrediction, PairMeasurement
from drywallqa.files import json_bytes, write_whole
from drywallqa.imaging import mask_files
from drywallqa.inference.queries import PromptQuery
from drywallqa.visualization.lettering import INK, PAPER, fitting, font
from drywallqa.visualization.overlay import draw_mask
from drywallqa.visualization.panels import Mask, Photo, error_map, shrink_photo

FOLDER, LIST = "panels", "panels.json"
EXAMPLE, FAILURE, PROMPTS = "example", "failure", "prompts"
EXAMPLE_HEADS = ("photo", "truth", "prediction", "overlay")
FAILURE_HEADS = ("photo", "truth", "prediction", "errors")
RANKS = (90, 50, 10)
"""Examples are those that are better than so many percent of the photos: not the best, and not by eye."""

_SIDE, _GAP, _HEAD, _LETTERS = 240, 6, 22, 15  # px
_SHOWN = 2  # failures of each kind and prompt
_PHOTOS = 2  # under several prompts


@dataclass(frozen=True)
class Panel:
    """One written picture.

    Attributes:
        file: Its name in the folder.
        kind: `EXAMPLE`, `FAILURE` or `PROMPTS`.
        heads: What its tiles show, from the left.
        image_id: The photo.
        prompt: What was asked; "" where several prompts were.
        words: What its caption says besides.
    """

    file: str
    kind: str
    heads: tuple[str, ...]
    image_id: str
    prompt: str
    words: str


class PanelFiles:
    """Writes panels into a folder, and the list of them at the end.

    Args:
        folder: The evaluation's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.panels: list[Panel] = []
        self._failures: dict[tuple[str, str], int] = {}

    def keep(
        self, found: Iterable[tuple[Failure, LabelledPrediction]]
    ) -> Iterator[tuple[Failure, LabelledPrediction]]:
        """Write panels of failures as they pass by."""
        for failure, look in found:
            self.add_failure(failure, look)
            yield failure, look

    def add_failure(self, failure: Failure, look: LabelledPrediction) -> None:
        """Write a failure's panel, if it is among the first of its kind under its prompt."""
        question = failure.pair.question
        key = (question.prompt, failure.kind)
        number = self._failures[key] = self._failures.get(key, 0) + 1
        if number > _SHOWN:
            return
        photo, truth, mask = _scaled(look, question)
        tiles = [photo, draw_mask(photo, truth), draw_mask(photo, mask), error_map(photo, mask, truth)]
        pair = failure.pair
        found = (
            f"{pair.counts.fp / pair.histogram.size:.1%} of the photo marked though it is absent"
            if pair.absent
            else f"IoU {pair.counts.iou:.2f}"
        )
        words = (
            f"{failure.kind}: {found}, presence {pair.presence:.2f}; likely cause: "
            f"{failure.cause.name} ({failure.cause.evidence})"
        )
        slug = f"{mask_files.slug_of(question.prompt)}__{failure.kind.replace(' ', '-')}-{number}"
        self._add(slug, FAILURE, FAILURE_HEADS, look, question.prompt, words, tiles)

    def add_examples(self, evaluation: Evaluation, question: PromptQuery) -> None:
        """Write examples chosen by rank of IoU."""
        own = [p for p in evaluation.examination.pairs if p.question == question and not p.absent]
        own.sort(key=lambda pair: pair.counts.iou)
        chosen: dict[int, int] = {}
        for percent in RANKS:
            chosen.setdefault(round(percent / 100 * (len(own) - 1)), percent)
        for place, percent in chosen.items() if own else ():
            self._add_example(evaluation.looker.look(own[place].sample), own[place], percent)

    def _add_example(self, look: LabelledPrediction, pair: PairMeasurement, percent: int) -> None:
        photo, truth, mask = _scaled(look, pair.question)
        tiles = [photo, _black_and_white(truth), _black_and_white(mask), draw_mask(photo, mask)]
        words = (
            f"better than {percent} % of the photos: IoU {pair.counts.iou:.2f}, Dice "
            f"{pair.counts.dice:.2f}, presence {pair.presence:.2f}"
        )
        slug = f"{mask_files.slug_of(pair.question.prompt)}__better-than-{percent}"
        self._add(slug, EXAMPLE, EXAMPLE_HEADS, look, pair.question.prompt, words, tiles)

    def add_under_prompts(self, evaluation: Evaluation) -> None:
        """Write photos that show as much as any, with their masks under every prompt."""
        measured = {pair.sample.key: pair.sample for pair in evaluation.examination.pairs}
        shown = {key: sum(bool(label) for label in one.labels.values()) for key, one in measured.items()}
        samples = [one for key, one in measured.items() if shown[key] == max(shown.values())]
        places = sorted({round(place) for place in np.linspace(0, len(samples) - 1, _PHOTOS)})
        questions = evaluation.questions
        for number, place in enumerate(places, 1):
            look = evaluation.looker.look(samples[place])
            photo, shrunk = shrink_photo(look.photo, [look.masks[q.prompt] for q in questions], _SIDE)
            tiles = [photo, *(draw_mask(photo, mask) for mask in shrunk)]
            words = "; ".join(
                f'"{q.prompt}": {look.masks[q.prompt].mean():.1%} marked, presence '
                f"{look.presence[q.prompt]:.2f}"
                for q in questions
            )
            heads = ("photo", *(f'"{q.prompt}"' for q in questions))
            self._add(f"prompts-{number}", PROMPTS, heads, look, "", words, tiles)

    def _add(
        self, slug: str, kind: str, heads: tuple[str, ...], look: LabelledPrediction, prompt: str, words: str,
        tiles: Sequence[Photo],
    ) -> None:  # fmt: skip
        file = f"{slug}.jpg"
        write_whole(self.folder / FOLDER / file, _strip(tiles, heads))
        self.panels.append(Panel(file, kind, heads, look.sample.image_id, prompt, words))

    def finish(self, evaluation: Evaluation) -> None:
        """Write the examples, the photos under every prompt, and the list."""
        for question in evaluation.questions:
            self.add_examples(evaluation, question)
        if len(evaluation.questions) > 1:
            self.add_under_prompts(evaluation)
        entries = [asdict(panel) for panel in self.panels]
        write_whole(self.folder / FOLDER / LIST, json_bytes(entries))


def load_panels(folder: Path) -> Iterator[Panel]:
    """Read the list of an evaluation's panels; none where it has no list.

    Raises:
        ValueError: The list is damaged.
    """
    path = folder / FOLDER / LIST
    if not path.is_file():
        return
    for entry in json.loads(path.read_text(encoding="utf-8")):
        yield Panel(**{**entry, "heads": tuple(entry["heads"])})


def _scaled(look: LabelledPrediction, question: PromptQuery) -> tuple[Photo, Mask, Mask]:
    both = [look.truths[str(question.concept)], look.masks[question.prompt]]
    photo, (truth, mask) = shrink_photo(look.photo, both, _SIDE)
    return photo, truth, mask


def _black_and_white(mask: Mask) -> Photo:
    return np.repeat(mask[:, :, None].astype(np.uint8) * np.uint8(255), 3, axis=2)


def _strip(tiles: Sequence[Photo], heads: Sequence[str]) -> bytes:
    """Put tiles of one size side by side under their heads, each with an edge, as some are white."""
    height, width = tiles[0].shape[:2]
    strip = Image.new("RGB", (len(tiles) * (width + _GAP) - _GAP, height + _HEAD), PAPER)
    pen = ImageDraw.Draw(strip)
    for number, tile in enumerate(tiles):
        framed = tile.copy()
        framed[[0, -1]] = framed[:, [0, -1]] = 120
        strip.paste(Image.fromarray(framed), (number * (width + _GAP), _HEAD))
        words = fitting(heads[number], _LETTERS, width)
        pen.text((number * (width + _GAP), _HEAD - 6), words, INK, font(_LETTERS), "ls")
    stream = io.BytesIO()
    strip.save(stream, "JPEG", quality=75, optimize=True)
    return stream.getvalue()
