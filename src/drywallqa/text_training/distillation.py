"""Train a text model: distil its encoder from a sentence model, and fit the concept classifier."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from drywallqa.text import phrase_bank
from drywallqa.text.text_encoder import ENCODER, LONGEST, PADDING, UNKNOWN, VOCABULARY, WordPiece
from drywallqa.text.text_side import SPACE, Lines, TextSide
from drywallqa.text_training.text_space import SentenceTeacher, TextSpace, compute_space, pad
from drywallqa.text_training.text_student import TextStudent, export_student, start_table

HELD_OUT = 0.15  # share of the lines that are held out to choose the threshold
LEARNING_RATE = 2e-3  # highest learning rate of the one-cycle schedule
LABEL_WEIGHT = 0.3  # weight of the cross-entropy loss on labelled phrases

_PAIRS = (
    "{} and {}", "{} in the {}", "{} on a {}", "{} with {}", "{} of the {}", "{} next to the {}", "{} {}",
    "{} between {}", "the {} {}", "{} without {}", "{} for the {}", "{}, {}",
)  # fmt: skip


@dataclass(frozen=True)
class TextConfig:
    """Settings for training a text model.

    Attributes:
        phrases: Number of phrases in the distillation corpus.
        epochs: Number of passes over the corpus.
        batch: Number of corpus phrases per step. Each step also uses labelled phrases, half as many as corpus
            phrases.
        seed: Seed for the choice of phrases and for the initial weights.
    """

    phrases: int = 120_000
    epochs: int = 6
    batch: int = 256
    seed: int = 0


def distill_text_side(
    folder: Path,
    config: TextConfig,
    *,
    space: TextSpace | None = None,
    held_out: bool = True,
    report: Callable[[str], None] = print,
) -> TextSide:
    """Train a text model and write it to `folder`.

    Args:
        folder: Folder for `text_encoder.onnx`, `vocabulary.txt`, `understanding.json` and `text_space.npz`.
        config: Settings for training.
        space: The text space of the embeddings. If None, a new space is computed. A mask decoder works only
            with the text space that was used to train it.
        held_out: Whether to hold out 15 % of the phrase bank lines and use them to choose the threshold.
        report: Function that is called with each progress message.
    """
    teacher = SentenceTeacher()
    space = space or compute_space(teacher)
    kept, held = _split_banks(config.seed, HELD_OUT if held_out else 0.0)
    texts = build_corpus(teacher.tokens.pieces, *kept, config.phrases)
    report(f"computing the teacher's embeddings of {len(texts)} phrases")
    sentences = teacher.embed(texts)
    run = Distillation(teacher, space, config)
    student = run.run(texts, sentences, phrase_bank.labelled_phrases(*kept, seed=config.seed), report)
    folder.mkdir(parents=True, exist_ok=True)
    difference = export_student(student, folder / ENCODER)
    report(f"largest difference between embeddings in ONNX Runtime and PyTorch: {difference:.4f}")
    (folder / VOCABULARY).write_text("\n".join(run.tokens.pieces) + "\n", encoding="utf-8")
    np.savez(folder / SPACE, mean=space.mean, components=space.components)
    side = TextSide.untrained(folder).with_concepts(
        kept[0], others=kept[1], held_out=held if held_out else None
    )
    side.save(folder)
    return side


def _split_banks(seed: int, share: float) -> tuple[Lines, Lines]:
    concepts = phrase_bank.banks_for(phrase_bank.concept_lines())[0]
    split = {name: split_lines(lines, seed, share) for name, lines in concepts.items()}
    kept, held = split_lines(phrase_bank.other_lines(), seed, share)
    return ({name: lines[0] for name, lines in split.items()}, kept), (
        {name: lines[1] for name, lines in split.items()},
        held,
    )


def split_lines(lines: Sequence[str], seed: int, share: float) -> tuple[list[str], list[str]]:
    """Split the lines of a phrase bank at random into training lines and held-out lines."""
    rng = random.Random(seed)
    held = {line for line in lines if rng.random() < share}
    return [line for line in lines if line not in held], [line for line in lines if line in held]


def build_corpus(
    pieces: Sequence[str], concepts: Mapping[str, Sequence[str]], others: Sequence[str], size: int
) -> list[str]:
    """Generate about `size` distinct phrases from the phrase banks and from random words.

    Args:
        pieces: The teacher's vocabulary.
        concepts: Phrase bank lines for each concept.
        others: Phrase bank lines about other things.
        size: Approximate number of phrases.
    """
    rng = random.Random(7)
    words = [piece for piece in pieces if piece.isascii() and piece.isalpha() and len(piece) > 2]
    known = [phrase for lines in concepts.values() for phrase in phrase_bank.phrases_of(lines)]
    bank = known + phrase_bank.phrases_of(others)
    made = dict.fromkeys([*bank, *words])
    while len(made) < size:
        made[_random_phrase(words, known, bank, rng)] = None
    return list(made)


def _random_phrase(
    words: Sequence[str], known: Sequence[str], bank: Sequence[str], rng: random.Random
) -> str:
    draw = rng.random()
    if draw < 0.45:
        return phrase_bank.phrase_request(rng.choice(known if draw < 0.25 else bank), rng)
    if draw < 0.55:
        return rng.choice(_PAIRS).format(rng.choice(bank), rng.choice(bank))
    if draw < 0.65:
        return rng.choice(_PAIRS).format(*rng.sample([rng.choice(bank), rng.choice(words)], 2))
    if draw < 0.8:
        return rng.choice(_PAIRS).format(rng.choice(words), rng.choice(words))
    if draw < 0.9:
        return phrase_bank.phrase_request(" ".join(rng.sample(words, rng.randint(1, 3))), rng)
    return " ".join(rng.choice(bank) for _ in range(rng.randint(2, 3)))


class Distillation:
    """Trains a student, which is a small text encoder, to imitate the teacher's sentence embeddings.

    The student's vocabulary contains only the ASCII pieces of the teacher's vocabulary. These pieces are
    sufficient for English prompts.
    """

    def __init__(self, teacher: SentenceTeacher, space: TextSpace, config: TextConfig) -> None:
        self.config = config
        torch.manual_seed(config.seed)
        self.rng = random.Random(config.seed)
        known = teacher.tokens.pieces
        ascii_pieces = [p for p in known if p and p.isascii() and not (p[0] == "[" and p[-1] == "]")]
        self.tokens = WordPiece([PADDING, UNKNOWN, *ascii_pieces])
        self.student = TextStudent(
            len(self.tokens.pieces), torch.from_numpy(space.mean), torch.from_numpy(space.components)
        )
        numbers = {piece: number for number, piece in enumerate(known)}
        start_table(self.student, teacher.table[[numbers[piece] for piece in self.tokens.pieces]])

    def run(
        self,
        texts: Sequence[str],
        sentences: NDArray[np.float32],
        labelled: Sequence[tuple[str, str]],
        report: Callable[[str], None],
    ) -> TextStudent:
        """Train the student on the teacher's embeddings [N,S] of N texts and on (phrase, label) pairs."""
        phrases, labels = zip(*labelled, strict=True)
        names = sorted(set(labels))
        truth = torch.tensor([names.index(label) for label in labels])
        head = torch.nn.Linear(self.student.to_sentence.in_features, len(names))
        parameters = [*self.student.parameters(), *head.parameters()]
        optimiser = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=0.01, fused=True)
        steps = self.config.epochs * (len(texts) // self.config.batch)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, LEARNING_RATE, total_steps=steps, pct_start=0.1
        )
        targets = torch.from_numpy(np.ascontiguousarray(sentences, dtype=np.float32))
        self.student.train()
        batches = self._batches(texts, self.config.batch)
        labelled_batches = self._batches(phrases, self.config.batch // 2)
        for step in range(1, steps + 1):
            places = next(batches)
            losses = self._distillation_losses([texts[place] for place in places], targets[places])
            places = next(labelled_batches)
            logits = head(self.student.features(self.encode([phrases[place] for place in places])))
            losses.append(functional.cross_entropy(logits, truth[places], label_smoothing=0.02))
            optimiser.zero_grad(set_to_none=True)
            (losses[0] + losses[1] + LABEL_WEIGHT * losses[2]).backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            schedule.step()
            if step % 200 == 0:
                sentence, space, label = (float(loss.detach()) for loss in losses)
                report(f"step {step}/{steps}: sentence {sentence:.3f}, space {space:.3f}, label {label:.3f}")
        return self.student.eval()

    def _batches(self, texts: Sequence[str], size: int) -> Iterator[list[int]]:
        """Yield an endless sequence of index batches. Texts in a batch have similar lengths."""
        size = min(size, len(texts))
        while True:
            order = self.rng.sample(range(len(texts)), len(texts))
            batches = []
            for begin in range(0, len(order), 16 * size):
                pool = sorted(order[begin : begin + 16 * size], key=lambda place: len(texts[place]))
                batches += [pool[at : at + size] for at in range(0, len(pool) - size + 1, size)]
            self.rng.shuffle(batches)
            yield from batches

    def _distillation_losses(self, texts: Sequence[str], targets: torch.Tensor) -> list[torch.Tensor]:
        """Return the mean cosine distances to the teacher's embeddings [B,S] before and after projection.

        Before the student embeds the texts, a typo or a symbol is added to some of them.
        """
        disturbed = []
        for text in texts:
            draw = self.rng.random()
            if draw < 0.2:
                text = phrase_bank.mistype(text, self.rng)
            elif draw < 0.27:
                text = phrase_bank.decorate(text, self.rng)
            disturbed.append(text)
        features = self.student.features(self.encode(disturbed))
        sentence = functional.normalize(self.student.to_sentence(features), dim=-1)
        near = 1.0 - (sentence * targets).sum(-1).mean()
        placed = 1.0 - (self.student.project(sentence) * self.student.project(targets)).sum(-1).mean()
        return [near, placed]

    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        """Encode texts as padded token ids [P,T]."""
        return pad([self.tokens.encode(text, LONGEST) or [self.tokens.unknown] for text in texts])
