"""Distil the text side from the sentence model, fit its understanding, and write both."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from drywallqa.text import phrase_bank, phrase_variation
from drywallqa.text.text_side import TextSide
from drywallqa.text.wordpiece import PADDING, UNKNOWN, WordPiece
from drywallqa.text_training import phrase_corpus
from drywallqa.text_training.sentence_teacher import SentenceTeacher
from drywallqa.text_training.text_space import TextSpace, compute
from drywallqa.text_training.text_student import LONGEST, TextStudent, export_student, start_table

Float = NDArray[np.float32]
HELD_OUT = 0.15


@dataclass(frozen=True)
class TextConfig:
    """How the text side is trained.

    Attributes:
        phrases: Size of the corpus to distil on.
        epochs: Passes over it.
        batch: Phrases a step; as many labelled ones come beside them.
        rate: Peak learning rate of the one-cycle schedule.
        label_weight: Weight of the labelled phrases' cross-entropy.
        threshold: From which probability on a concept is meant, unless held-out phrases choose it.
        seed: Fixes the phrases and the weights.
    """

    phrases: int = 120_000
    epochs: int = 6
    batch: int = 256
    rate: float = 2e-3
    label_weight: float = 0.3
    threshold: float = 0.8
    seed: int = 0


def prune(pieces: Sequence[str]) -> list[str]:
    """The pieces that English prompts need: padding, unknown, and everything in plain ASCII."""
    kept = [p for p in pieces if p and p.isascii() and not (p.startswith("[") and p.endswith("]"))]
    return [PADDING, UNKNOWN, *kept]


def split_lines(lines: Sequence[str], seed: int, share: float = HELD_OUT) -> tuple[list[str], list[str]]:
    """Split a bank by line into training and held-out lines."""
    rng = random.Random(seed)
    held = {line for line in lines if rng.random() < share}
    return [line for line in lines if line not in held], [line for line in lines if line in held]


class Distillation:
    """One training run: the corpus with the teacher's answers, and the labelled phrases."""

    def __init__(self, teacher: SentenceTeacher, space: TextSpace, config: TextConfig) -> None:
        self.config, self.teacher = config, teacher
        torch.manual_seed(config.seed)
        self.rng = random.Random(config.seed)
        self.tokens = WordPiece(prune(teacher.tokens.pieces))
        self.student = TextStudent(
            len(self.tokens.pieces),
            space.mean.size,
            torch.from_numpy(space.mean),
            torch.from_numpy(space.components),
        )
        numbers = {piece: number for number, piece in enumerate(teacher.tokens.pieces)}
        table = teacher.weights["embeddings.word_embeddings.weight"].numpy()
        start_table(self.student, table[[numbers[piece] for piece in self.tokens.pieces]])

    def run(
        self,
        texts: Sequence[str],
        sentences: Float,
        labelled: Sequence[tuple[str, str]],
        report: Callable[[str], None],
    ) -> TextStudent:
        """Train; [N,384] `sentences` are the teacher's answers to `texts`."""
        names = sorted({label for _, label in labelled})
        head = torch.nn.Linear(self.student.to_sentence.in_features, len(names))
        parameters = [*self.student.parameters(), *head.parameters()]
        optimiser = torch.optim.AdamW(parameters, lr=self.config.rate, weight_decay=0.01, fused=True)
        steps = self.config.epochs * (len(texts) // self.config.batch)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, self.config.rate, total_steps=steps, pct_start=0.1
        )
        targets = torch.from_numpy(np.ascontiguousarray(sentences, dtype=np.float32))
        self.student.train()
        running = np.zeros(3)
        batches = self._batches(texts, self.config.batch)
        labelled_batches = self._batches([text for text, _ in labelled], self.config.batch // 2)
        for step in range(steps):
            places = next(batches)
            losses = self._distil([texts[place] for place in places], targets[places])
            losses.append(self._classify([labelled[place] for place in next(labelled_batches)], names, head))
            loss = losses[0] + losses[1] + self.config.label_weight * losses[2]
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            schedule.step()
            running = 0.98 * running + 0.02 * np.array([float(part.detach()) for part in losses])
            if (step + 1) % 200 == 0:
                shown = running / (1 - 0.98 ** (step + 1))
                sentence, placed, label = shown
                report(
                    f"step {step + 1}/{steps}: sentence {sentence:.3f}, space {placed:.3f}, label {label:.3f}"
                )
        return self.student.eval()

    def _batches(self, texts: Sequence[str], size: int) -> Iterator[list[int]]:
        """Endless batches of places; texts of like length together, for padding costs as much as words."""
        size = min(size, len(texts))
        while True:
            order = self.rng.sample(range(len(texts)), len(texts))
            pools = [order[begin : begin + 16 * size] for begin in range(0, len(order), 16 * size)]
            batches = []
            for pool in pools:
                pool.sort(key=lambda place: len(texts[place]))
                batches += [pool[begin : begin + size] for begin in range(0, len(pool) - size + 1, size)]
            self.rng.shuffle(batches)
            yield from batches

    def _distil(self, texts: Sequence[str], targets: torch.Tensor) -> list[torch.Tensor]:
        """The distances to the teacher's sentences and to their places in the text space."""
        features = self.student.features(self.pieces([self._disturb(text) for text in texts]))
        sentence = functional.normalize(self.student.to_sentence(features), dim=-1)
        near = 1.0 - (sentence * targets).sum(-1).mean()
        placed = 1.0 - (self.student.project(sentence) * self.student.project(targets)).sum(-1).mean()
        return [near, placed]

    def _classify(
        self, pairs: Sequence[tuple[str, str]], names: list[str], head: torch.nn.Linear
    ) -> torch.Tensor:
        features = self.student.features(self.pieces([text for text, _ in pairs]))
        truth = torch.tensor([names.index(label) for _, label in pairs])
        return functional.cross_entropy(head(features), truth, label_smoothing=0.02)

    def _disturb(self, text: str) -> str:
        """What the student reads differs at times from what the teacher read: slips and marks."""
        draw = self.rng.random()
        if draw < 0.2:
            return phrase_variation.mistype(text, self.rng)
        return phrase_variation.decorate(text, self.rng) if draw < 0.27 else text

    def pieces(self, texts: Sequence[str]) -> torch.Tensor:
        """[P,T] piece numbers, padded."""
        encoded = [self.tokens.encode(text, LONGEST) or [self.tokens.unknown] for text in texts]
        length = max(len(numbers) for numbers in encoded)
        return torch.tensor([numbers + [0] * (length - len(numbers)) for numbers in encoded])


def distill_text_side(
    folder: Path,
    config: TextConfig | None = None,
    *,
    space: TextSpace | None = None,
    held_out: bool = True,
    report: Callable[[str], None] = print,
) -> TextSide:
    """Train a text side and write it to `folder`.

    Args:
        folder: Where `text_encoder.onnx`, `vocabulary.txt`, `understanding.json` and `text_space.npz` go.
        config: How to train.
        space: The text space to train in; a decoder reads only the space that it was trained in.
        held_out: Keep 15 % of the lines out of training to choose the threshold on, and report on them.
        report: Takes each line of progress.
    """
    config = config or TextConfig()
    teacher = SentenceTeacher()
    space = space or compute(teacher)
    kept, held = _split_all(config.seed if held_out else None)
    texts = phrase_corpus.build(teacher.tokens.pieces, kept[0], kept[1], config.phrases)
    report(f"{len(texts)} phrases to distil on; asking the teacher")
    sentences = teacher.embed(texts)
    labelled = phrase_variation.labelled_phrases(*kept, seed=config.seed)
    run = Distillation(teacher, space, config)
    student = run.run(texts, sentences, labelled, report)
    folder.mkdir(parents=True, exist_ok=True)
    report(
        f"export differs from torch by {export_student(student, folder / 'text_encoder.onnx'):.4f} at most"
    )
    run.tokens.save(folder / "vocabulary.txt")
    space.save(folder / "text_space.npz")
    side = TextSide.untrained(folder).with_concepts(
        kept[0], others=kept[1], held_out=held if held_out else None
    )
    side.save(folder)
    return side


Lines = tuple[Mapping[str, Sequence[str]], Sequence[str]]


def _split_all(seed: int | None) -> tuple[Lines, Lines]:
    """All banks split by line; with no seed everything is for training."""
    concepts, others = phrase_bank.banks_for(phrase_bank.concept_names())[0], phrase_bank.other_lines()
    share = 0.0 if seed is None else HELD_OUT
    split = {name: split_lines(lines, seed or 0, share) for name, lines in concepts.items()}
    kept, held = split_lines(others, seed or 0, share)
    return ({name: two[0] for name, two in split.items()}, kept), (
        {name: two[1] for name, two in split.items()},
        held,
    )
