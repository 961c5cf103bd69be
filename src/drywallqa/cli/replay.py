"""`drywallqa replay`: look closer at a batch whose loss was not finite."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drywallqa.cli import FOUND


def replay(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run that a loss which is not finite stopped.")
    ],
) -> None:
    """Run the batch that broke a run once more, every layer watched; exit code 1 if it breaks again."""
    from drywallqa.training.batch_replay import replay_batch as run_again

    seen = run_again(run)
    for line in seen.sentences():
        print(line)
    if seen.again:
        raise typer.Exit(FOUND)
