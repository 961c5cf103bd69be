"""Show the progress of a command: a progress bar on a terminal, plain lines, or JSON lines on stdout."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING

from drywallqa.cli import one_line

if TYPE_CHECKING:
    from rich.progress import Progress

    from drywallqa.formats.problems import Problem
    from drywallqa.inference.plan import PhotoOutcome


_SHOWN = 20  # number of problems to print; the other problems are only counted


class OutcomeDisplay(AbstractContextManager["OutcomeDisplay"]):
    """Shows the outcome of each photo as soon as it is known. JSON goes to stdout, other output to stderr."""

    def __init__(self, *, json: bool, quiet: bool, verbose: bool) -> None:
        self._json, self._quiet, self._verbose = json, quiet, verbose
        self._bar: Progress | None = None

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def start(self, total: int) -> None:
        """Show a progress bar if stderr is a terminal and there are several photos."""
        if self._quiet or total < 2 or not sys.stderr.isatty():
            return
        from rich import progress as parts
        from rich.console import Console

        self._bar = parts.Progress(
            parts.TextColumn("segmenting"),
            parts.BarColumn(),
            parts.MofNCompleteColumn(),
            parts.TextColumn("{task.fields[rate]}"),
            parts.TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._bar.add_task("segmenting", total=total, rate="")
        self._bar.start()

    def show(self, outcome: PhotoOutcome) -> None:
        """Show the outcome of one photo, path or prompt."""
        if self._json:
            self._print_json(outcome)
        if outcome.error is not None:
            self._say(f"error: {outcome.error}")
        elif self._verbose:
            found = ", ".join(
                f"{record['prompt']}: {record['area']:.2%} (presence {record['presence']:.2f})"
                for record in outcome.records
            )
            self._say(f"{outcome.source}: {outcome.status}: {found}")
        if not self._quiet:
            for note in dict.fromkeys(note for one in outcome.records for note in one.get("quality") or ()):
                self._say(f"note: {outcome.source}: {note}")
        if self._bar is not None and outcome.source is not None:
            task = self._bar.tasks[0]
            rate = f"{task.finished_speed or task.speed or 0:.1f} photos/s"
            self._bar.update(task.id, advance=1, rate=rate)

    def _say(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(one_line(text), markup=False, highlight=False, soft_wrap=True)
        else:
            print(one_line(text), file=sys.stderr)

    def _print_json(self, outcome: PhotoOutcome) -> None:
        import json

        status = "done" if outcome.error else outcome.status
        lines = [{**record, "status": status} for record in outcome.records if "mask" in record]
        if outcome.error is not None:
            about = {"source": outcome.source} if outcome.source else outcome.records[0]
            lines.append({**about, "status": "failed", "error": outcome.error})
        for line in lines:
            # json.dumps escapes non-ASCII characters, so that any terminal encoding can show the line.
            print(json.dumps(line), flush=True)


def progress_unless(quiet: bool) -> Callable[[str, int, int], None]:
    """Return `show_step`, or a function that does nothing if `quiet` is set or stderr is no terminal."""
    return show_step if sys.stderr.isatty() and not quiet else lambda what, done, total: None


def show_step(what: str, done: int, total: int) -> None:
    """Update the progress line on stderr, for example "diagnosing: 3 of 40"."""
    print(
        f"\r{what}: {done} of {total}\x1b[K", end="\n" if done == total else "", file=sys.stderr, flush=True
    )


def step_progress(verb: str) -> Callable[[int, int], None] | None:
    """Return a function that shows the progress; None if stderr is not a terminal."""
    return partial(show_step, verb) if sys.stderr.isatty() else None


def show_problems(problems: Sequence[Problem], listed_in: str | PurePath | None) -> str:
    """Print the first problems of labels to stderr; return a sentence with the number of each kind.

    Args:
        problems: The problems.
        listed_in: The file that lists all of them; None prints all.
    """
    count, shown = len(problems), _SHOWN if listed_in else None
    for problem in problems[:shown]:
        print(one_line(str(problem)), file=sys.stderr)
    if shown and count > shown:
        print(f"... and {count - shown} more problems; {listed_in} lists all of them", file=sys.stderr)
    kinds = ", ".join(
        f"{kind} {number}" for kind, number in Counter(problem.kind for problem in problems).most_common()
    )
    return f"{count} problem{'' if count == 1 else 's'} ({kinds})" if count else ""
