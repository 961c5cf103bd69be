"""`drywallqa replay`: examine a batch whose loss was not finite."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drywallqa.cli import FOUND


def replay(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run that stopped because its loss was not finite.")
    ],
) -> None:
    """Replay the batch whose loss was not finite and check every layer. Exit code 1: the error recurred."""
    from drywallqa.training.batch_replay import replay_batch

    lines, broken = replay_batch(run)
    for line in lines:
        print(line)
    if broken:
        raise typer.Exit(FOUND)
