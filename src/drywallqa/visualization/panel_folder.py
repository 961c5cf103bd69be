"""Write and list the pictures of an evaluation, called panels. Reports show them with captions."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from drywallqa.evaluation.evaluation import Evaluation
from drywallqa.evaluation.failures import Failure
from drywallqa.evaluation.measure import LabelledPrediction, PairMeasurement
from drywallqa.files import json_bytes, write_whole
from drywallqa.imaging import mask_files
from drywallqa.visualization.overlay import draw_mask, image_bytes
from drywallqa.visualization.panels import (
    HEADS,
    INK,
    PAPER,
    Photo,
    comparison_panels,
    fit_text,
    font,
    shrink_photo,
)

FOLDER, LIST = "panels", "panels.json"
EXAMPLE, FAILURE, PROMPTS = "example", "failure", "prompts"
EXAMPLE_HEADS = ("photo", "truth", "prediction", "overlay")
RANKS = (90, 50, 10)
"""Percentile ranks, by IoU, of the photos that serve as examples."""

_SIDE, _GAP, _HEAD, _LETTERS = 240, 6, 22, 15  # px
_SHOWN = 2  # maximum number of failures per kind and prompt
_PHOTOS = 2  # number of photos to draw with the masks of all prompts


@dataclass(frozen=True)
class Panel:
    """One picture: several tiles side by side.

    Attributes:
        file: File name in the folder `FOLDER`.
        kind: `EXAMPLE`, `FAILURE` or `PROMPTS`.
        heads: Titles of the tiles, from left to right.
        image_id: Name of the photo.
        prompt: The prompt; "" if the panel shows several prompts.
        words: Remaining text of the caption.
    """

    file: str
    kind: str
    heads: tuple[str, ...]
    image_id: str
    prompt: str
    words: str


class PanelFiles:
    """Writes panels into an evaluation's folder, and finally the list of the panels.

    Args:
        folder: The evaluation's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.panels: list[Panel] = []
        self._failures: Counter[tuple[str, str]] = Counter()

    def add_failure(self, failure: Failure, labelled: LabelledPrediction) -> None:
        """Write the panel of a failure, unless the prompt already has enough failures of this kind."""
        prompt, kind = failure.pair.prompt, failure.kind
        self._failures[prompt, kind] += 1
        number = self._failures[prompt, kind]
        if number <= _SHOWN:
            truth, mask = labelled.truths[failure.pair.concept], labelled.masks[prompt]
            tiles = comparison_panels(labelled.photo, truth, mask, _SIDE)
            cause = f"{failure.cause.name} ({failure.cause.evidence})"
            words = f"{kind}: {describe_failure(failure)}; likely cause: {cause}"
            slug = f"{mask_files.slug_of(prompt)}__{kind.replace(' ', '-')}-{number}"
            self._write(Panel(f"{slug}.jpg", FAILURE, HEADS, labelled.sample.image_id, prompt, words), tiles)

    def finish(self, evaluation: Evaluation) -> None:
        """Write the examples, the photos with the masks of all prompts, and the list of panels."""
        for query in evaluation.queries:
            own = [p for p in evaluation.measurements.pairs if p.query == query and not p.absent]
            own.sort(key=lambda pair: pair.counts.iou)
            places: dict[int, int] = {}
            for rank in RANKS if own else ():
                places.setdefault(round(rank / 100 * (len(own) - 1)), rank)
            for place, rank in places.items():
                self._add_example(evaluation.evaluator.predict(own[place].sample), own[place], rank)
        if len(evaluation.queries) > 1:
            self._add_under_prompts(evaluation)
        write_whole(self.folder / FOLDER / LIST, json_bytes([asdict(panel) for panel in self.panels]))

    def _add_example(self, labelled: LabelledPrediction, pair: PairMeasurement, rank: int) -> None:
        both = [labelled.truths[pair.concept], labelled.masks[pair.prompt]]
        photo, masks = shrink_photo(labelled.photo, both, _SIDE)
        drawn = [np.repeat(mask[:, :, None].astype(np.uint8) * np.uint8(255), 3, axis=2) for mask in masks]
        words = (
            f"higher IoU than on {rank} % of the photos: IoU {pair.counts.iou:.2f}, Dice "
            f"{pair.counts.dice:.2f}, presence {pair.presence:.2f}"
        )
        file = f"{mask_files.slug_of(pair.prompt)}__better-than-{rank}.jpg"
        panel = Panel(file, EXAMPLE, EXAMPLE_HEADS, labelled.sample.image_id, pair.prompt, words)
        self._write(panel, [photo, *drawn, draw_mask(photo, masks[1])])

    def _add_under_prompts(self, evaluation: Evaluation) -> None:
        """Draw the photos that show the most concepts, with one mask per prompt."""
        measured = {pair.sample.key: pair.sample for pair in evaluation.measurements.pairs}
        shown = {key: sum(map(bool, sample.labels.values())) for key, sample in measured.items()}
        samples = [sample for key, sample in measured.items() if shown[key] == max(shown.values())]
        prompts = [query.prompt for query in evaluation.queries]
        places = sorted({round(place) for place in np.linspace(0, len(samples) - 1, _PHOTOS)})
        for number, place in enumerate(places, 1):
            labelled = evaluation.evaluator.predict(samples[place])
            photo, masks = shrink_photo(labelled.photo, [labelled.masks[p] for p in prompts], _SIDE)
            words = "; ".join(
                f'"{each.prompt}": {each.mask.mean():.1%} marked, presence {each.presence:.2f}'
                for each in labelled.predictions
            )
            heads = ("photo", *(f'"{prompt}"' for prompt in prompts))
            panel = Panel(f"prompts-{number}.jpg", PROMPTS, heads, labelled.sample.image_id, "", words)
            self._write(panel, [photo, *(draw_mask(photo, mask) for mask in masks)])

    def _write(self, panel: Panel, tiles: Sequence[Photo]) -> None:
        """Write tiles of equal size side by side. Each tile has a title above and a grey border."""
        height, width = tiles[0].shape[:2]
        strip = Image.new("RGB", (len(tiles) * (width + _GAP) - _GAP, height + _HEAD), PAPER)
        pen = ImageDraw.Draw(strip)
        for left, (tile, head) in enumerate(zip(tiles, panel.heads, strict=True)):
            framed = tile.copy()
            framed[[0, -1]] = framed[:, [0, -1]] = 120
            strip.paste(Image.fromarray(framed), (left * (width + _GAP), _HEAD))
            text = fit_text(head, _LETTERS, width)
            pen.text((left * (width + _GAP), _HEAD - 6), text, INK, font(_LETTERS), "ls")
        content = image_bytes(strip, "JPEG", quality=75, optimize=True)
        write_whole(self.folder / FOLDER / panel.file, content)
        self.panels.append(panel)


def load_panels(folder: Path) -> Iterator[Panel]:
    """Yield the panels listed in an evaluation's folder. If there is no list, yield nothing.

    Raises:
        ValueError: The list is not valid JSON.
    """
    path = folder / FOLDER / LIST
    if path.is_file():
        for entry in json.loads(path.read_text(encoding="utf-8")):
            yield Panel(**{**entry, "heads": tuple(entry["heads"])})


def describe_failure(failure: Failure) -> str:
    """Describe a failure by its presence score and IoU, or by the share of pixels that are falsely marked."""
    pair = failure.pair
    false = f"{pair.counts.fp / pair.counts.size:.1%} of the photo falsely marked"
    return f"{false if pair.absent else f'IoU {pair.counts.iou:.2f}'}, presence {pair.presence:.2f}"
