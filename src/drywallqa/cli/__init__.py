"""The command line. Each verb has its own small module, which is imported only when the verb runs."""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Sequence

from drywallqa.cli.ending import (
    FAILED,
    FOUND,
    INTERRUPTED,
    UNFORESEEN,
    USAGE,
    code_of,
    code_of_exit,
    escape_output,
    flush_output,
    one_line,
)
from drywallqa.processors import limit_library_threads

__all__ = ["FAILED", "FOUND", "INTERRUPTED", "UNFORESEEN", "USAGE", "VERBS", "main", "one_line"]

# name → (module:object, one-line help); the object is a function, or a Typer app with subcommands.
VERBS: dict[str, tuple[str, str]] = {
    "segment": ("drywallqa.cli.segment:segment", "Segment photos under prompts into a folder of masks."),
    "demo": ("drywallqa.cli.segment:demo", "Render example walls, segment them, and show the results."),
    "data": ("drywallqa.cli.data:app", "Import, split, audit and describe data sets."),
    "models": ("drywallqa.cli.models:app", "List and describe model families, download weights."),
    "train": ("drywallqa.cli.train:train", "Train a model on a data set, or fine-tune a bundle."),
    "sweep": ("drywallqa.cli.sweep:sweep", "Train runs over a range of settings and compare them."),
    "replay": ("drywallqa.cli.train:replay", "Rerun a batch whose loss was not finite, layer by layer."),
    "train-text": ("drywallqa.cli.train:train_text", "Train the text side of a bundle."),
    "check-text": ("drywallqa.cli.train:check_text", "Measure a text side on lists of phrasings."),
    "ablate": ("drywallqa.cli.sweep:ablate", "Train one run per recipe and compare the results."),
    "export": ("drywallqa.cli.export:export", "Export a checkpoint as a bundle."),
    "evaluate": ("drywallqa.cli.evaluate:evaluate", "Measure a model: intervals, curves, failures."),
    "diagnose": (
        "drywallqa.cli.diagnose:diagnose",
        "Find faults of a model or its data, and their causes.",
    ),
    "report": ("drywallqa.cli.report:report", "Write a training report: HTML, Markdown, PDF."),
    "refine": ("drywallqa.cli.evaluate:refine", "Measure the gain and cost of mask refinements."),
    "speed": ("drywallqa.cli.speed:speed", "Measure a bundle's speed on this machine."),
}
# Verbs of earlier versions, which still work but are hidden: name → the verb and options that replace it.
RENAMED: dict[str, tuple[str, ...]] = {
    "bench": ("speed",),
    "benchmark": ("evaluate", "--suite", "release"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    0: success. 1: success, and the command found something. 2: wrong usage. 3: some inputs failed.
    70: unexpected error. 130: stopped from the keyboard. 141: the reader of the output closed the pipe.
    """
    asked = sys.argv[1:] if arguments is None else list(arguments)
    gc.set_threshold(100_000)  # imports create many objects but no garbage; garbage collection costs 20 ms
    try:
        limit_library_threads()
        escape_output()
        warnings.filterwarnings("ignore", module=r"PIL(\.|$)")  # damaged pictures raise errors
        from drywallqa.cli.verbs import command

        try:
            command(VERBS, RENAMED).main(args=asked, prog_name="drywallqa")
            code = 0
        except SystemExit as end:
            code = code_of_exit(end)
        flush_output()
        return code
    except BaseException as error:  # otherwise Python exits with 1, which here means "found something"
        return code_of(error)
