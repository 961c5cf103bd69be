"""`drywallqa train-text` and `check-text`: train a text side, and measure it on lists of phrasings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train_text(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the text side.")],
    space: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="text_space.npz to reuse, so that trained decoders stay valid."),
    ] = None,
    phrases: Annotated[int, typer.Option(min=1000, help="Number of phrases for distillation.")] = 120_000,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the phrases.")] = 6,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Hold out 15 % of the lines to choose the threshold.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the phrases and the weights.")] = 0,
) -> None:
    """Distil the text side from the sentence model and fit its concepts (half an hour on one core)."""
    from drywallqa.text_training.distillation import TextConfig, distill_text_side
    from drywallqa.text_training.text_space import TextSpace

    config = TextConfig(phrases=phrases, epochs=epochs, seed=seed)
    kept = TextSpace.load(space) if space else None
    side = distill_text_side(out, config, space=kept, held_out=held_out)
    print(f"{out}: knows {', '.join(side.concepts)}; threshold {side.threshold:.2f}")


def check_text(
    side: Annotated[Path, typer.Argument(metavar="SIDE", help="Folder of a text side, or a bundle.")],
    lists: Annotated[
        Path,
        typer.Argument(
            metavar="LISTS",
            help="Folder of .txt files named by concept, or of .tsv files (concept, phrasing).",
        ),
    ],
) -> None:
    """Print counts of correctly classified phrasings and of rejected foreign phrasings, and all errors."""
    from drywallqa.text.text_side import TextSide
    from drywallqa.text_training.phrasing_lists import measure_phrasings, read_lists

    text = TextSide.load(side)
    print(measure_phrasings(text, read_lists(lists, text.concepts)).describe())
