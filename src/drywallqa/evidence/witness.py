"""What a model sees of a sample of photos, as a diagnosis looks at it: beside the truth, on a coarse grid."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.diagnosis.mask_files import MaskFacts, read_facts
from drywallqa.diagnosis.seen import GRID, Mask, Seen, logit
from drywallqa.errors import DataError, DrywallQAError
from drywallqa.evaluation.collect import PairScore
from drywallqa.evaluation.subject import Subject
from drywallqa.metrics import Counts, Histogram
from drywallqa.window import Placement, Window, sigmoid

PARTS = ("val", "test", "train")
"""The parts that are looked at, the most telling first."""

Photo = NDArray[np.uint8]
Answers = dict[bytes, tuple[NDArray[np.float32], NDArray[np.float32]]]
Truths = Mapping[str, Mask]


@dataclass(frozen=True, eq=False)
class Exhibit:
    """One photo with its truths, read once.

    Attributes:
        sample: Its entry.
        photo: RGB uint8 [H,W,3].
        truths: Concept → truth [H,W]; only what was labelled.
    """

    sample: Sample
    photo: Photo
    truths: Truths


@dataclass
class Exhibits:
    """A sample of a data set.

    Attributes:
        photos: What could be read.
        mask_files: What the mask files are like.
        broken: Photos that could not be used: (photo, reason).
    """

    photos: list[Exhibit] = field(default_factory=list)
    mask_files: list[MaskFacts] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)


def choose_samples(dataset: Dataset, most: int, parts: Sequence[str] = PARTS) -> list[Sample]:
    """Choose at most `most` photos of each part, spread over sets, labels and photographs."""
    chosen: list[Sample] = []
    for part in parts:
        groups: dict[tuple[object, ...], list[Sample]] = {}
        for sample in sorted(dataset.part(part), key=lambda s: (s.set_name, s.source_photo, s.image_id)):
            shown = tuple(sorted(concept for concept, mask in sample.labels.items() if mask))
            groups.setdefault((sample.set_name, shown), []).append(sample)
        left = most
        for place, members in enumerate(sorted(groups.values(), key=len)):
            share = min(len(members), -(-left // (len(groups) - place)))
            steps: list[float] = np.linspace(0, len(members) - 1, share).round().tolist()
            chosen += [members[int(step)] for step in steps]
            left -= share
    return chosen


def read_exhibits(
    dataset: Dataset, samples: Iterable[Sample], progress: Callable[[int], None] | None = None
) -> Exhibits:
    """Read photos and truths; what cannot be read is kept with its reason."""
    found = Exhibits()
    for done, sample in enumerate(samples, 1):
        try:
            photo = dataset.read_photo(sample)
            truths = {concept: dataset.read_mask(sample, concept) for concept in sample.labels}
            if photo.shape[:2] != (sample.height, sample.width):
                size = f"{photo.shape[1]}×{photo.shape[0]} px, its truth {sample.width}×{sample.height}"
                raise DataError(f"{sample.photo}: the photo is {size}")
        except DrywallQAError as error:
            found.broken.append((sample.photo, str(error)))
            continue
        found.photos.append(Exhibit(sample, photo, truths))
        for name in filter(None, sample.labels.values()):
            photograph = f"{sample.set_name}/{sample.source_photo}"
            found.mask_files.append(read_facts(dataset.folder / name, name, photograph))
        if progress:
            progress(done)
    return found


class Witness:
    """Asks a model about exhibits, under the name of each concept or a phrasing of it.

    The same pixels are put to a model once: its answer is kept for whoever asks again.

    Args:
        subject: The model.
        prompts: Concept → how it is asked for.
        answered: What the same model has answered elsewhere.

    Attributes:
        embeddings: [P,D], one a concept; may be exchanged for others.
        answered: Digest of a question → mask logits [P,h',w'] and presence logits [P].
        scores: What was looked at with `full`, scored at the photos' own size.
    """

    def __init__(self, subject: Subject, prompts: Mapping[str, str], answered: Answers | None = None) -> None:
        self.subject, self.concepts = subject, tuple(prompts)
        self.embeddings = subject.backend.encode_prompts(list(prompts.values()))
        self.scores: list[PairScore] = []
        self.answered: Answers = {} if answered is None else answered

    def look(
        self,
        exhibit: Exhibit,
        window: Window | None = None,
        change: Callable[[Photo], Photo] | None = None,
        *,
        full: bool = False,
    ) -> list[Seen]:
        """Ask about every concept that the photo is labelled for.

        Args:
            exhibit: The photo.
            window: Another window than the model's own.
            change: What is done to the photo first.
            full: Whether to keep a score at the photo's own size, too.
        """
        photo = change(exhibit.photo) if change else exhibit.photo
        image, placement = (window or self.subject.window).fit(np.ascontiguousarray(photo))
        logits, presence = self.decode(image)
        height, width = _grid(placement)
        small = replace(placement, height=height, width=width)
        rows = [small.restore(np.nan_to_num(row, nan=np.nan)) for row in logits]
        sample = exhibit.sample
        seen = []
        for place, concept in enumerate(self.concepts):
            if concept not in exhibit.truths:
                continue
            belief = float(sigmoid(np.asarray(presence[place], np.float32)))
            if full and np.isfinite(logits).all():
                histogram = Histogram.of(sigmoid(placement.restore(logits[place])), exhibit.truths[concept])
                self.scores.append(PairScore(sample, concept, concept, belief, histogram))
            level, presence_level = self.subject.levels[concept]
            seen.append(
                Seen(
                    photo=sample.photo,
                    photograph=f"{sample.set_name}/{sample.source_photo}",
                    part=sample.split or "none",
                    concept=concept,
                    truth=_coarse(exhibit.truths[concept], height, width),
                    logits=rows[place],
                    other=rows[(place + 1) % len(rows)] if len(rows) > 1 else None,
                    presence=belief,
                    level=logit(level),
                    presence_level=presence_level,
                )
            )
        return seen

    def decode(self, image: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Answer one normalised photo [3,h,w]: logits [P,h',w'] and presence logits [P]."""
        key = hashlib.sha256(image.tobytes() + self.embeddings.tobytes()).digest()
        if key not in self.answered:
            backend = self.subject.backend
            logits, presence = backend.decode(backend.encode_image(image[None]), self.embeddings)
            self.answered[key] = logits[0], presence[0]
        return self.answered[key]


def _grid(placement: Placement) -> tuple[int, int]:
    scale = GRID / max(placement.height, placement.width)
    return max(1, round(placement.height * scale)), max(1, round(placement.width * scale))


def _coarse(mask: Mask, height: int, width: int) -> Mask:
    """Bring a truth to the grid; what is thinner than a cell stays visible."""
    image = Image.fromarray(mask.astype(np.uint8) * 255)
    share = np.asarray(image.resize((width, height), Image.Resampling.BOX), np.float32) / 255
    return np.asarray(share >= 0.4)


def recount(witness: Witness, exhibits: Sequence[Exhibit], most: int = 12) -> tuple[int, list[str]]:
    """Count IoU three times: by the project, by plain sets of pixels, and by torchmetrics where it is there.

    Returns:
        Pairs counted, and those on which the counts differ.
    """
    wrong, counted = [], 0
    jaccard = _torchmetrics()
    for exhibit in exhibits[:most]:
        image, placement = witness.subject.window.fit(exhibit.photo)
        logits, _ = witness.decode(image)
        for place, concept in enumerate(witness.concepts):
            truth = exhibit.truths.get(concept)
            if truth is None or not truth.any() or not np.isfinite(logits).all():
                continue
            mask = placement.restore(logits[place]) > logit(witness.subject.levels[concept][0])
            ours = Counts.of(mask, truth).iou
            marked, true = (set(np.flatnonzero(each).tolist()) for each in (mask, truth))
            counts = [len(marked & true) / len(marked | true), *([jaccard(mask, truth)] if jaccard else [])]
            counted += 1
            if any(abs(ours - other) > 1e-6 for other in counts):
                told = ", ".join(f"{value:.6f}" for value in (ours, *counts))
                wrong.append(f"{exhibit.sample.photo} ({concept}): {told}")
    return counted, wrong


def _torchmetrics() -> Callable[[Mask, Mask], float] | None:
    try:
        import torch
        from torchmetrics.functional.classification import binary_jaccard_index
    except ModuleNotFoundError:
        return None

    def measure(mask: Mask, truth: Mask) -> float:
        return float(
            binary_jaccard_index(
                torch.from_numpy(mask.astype(np.int64)), torch.from_numpy(truth.astype(np.int64))
            )
        )

    return measure
