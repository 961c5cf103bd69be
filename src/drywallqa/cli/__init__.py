"""The command line. The module of a subcommand is imported only when the subcommand runs."""

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

# Subcommand → (module:object, one-line help). The object is a function, or a Typer app with subcommands.
VERBS: dict[str, tuple[str, str]] = {
    "segment": ("drywallqa.cli.segment:segment", "Segment photos by text prompts."),
    "inspect": (
        "drywallqa.cli.inspect:inspect",
        "Measure cracks and joints in photos, and judge them by rules.",
    ),
    "compare": ("drywallqa.cli.compare:compare", "Find new, grown and repaired cracks between two visits."),
    "demo": ("drywallqa.cli.demo:demo", "Render example walls, segment them, and show the results."),
    "marker": ("drywallqa.cli.marker:marker", "Write a printable sheet with a marker for the scale."),
    "rules": ("drywallqa.cli.rules:rules", "List, show or check the rules of an inspection."),
    "data": ("drywallqa.cli.data:app", "Import, split, audit and describe data sets."),
    "models": ("drywallqa.cli.models:app", "List and describe model families, and download weights."),
    "train": ("drywallqa.cli.train:train", "Train a model on a data set, or fine-tune a bundle."),
    "sweep": ("drywallqa.cli.sweep:sweep", "Train runs with a range of settings, and rank the runs."),
    "replay": (
        "drywallqa.cli.train:replay",
        "Repeat a batch whose loss was NaN or infinite, layer by layer.",
    ),
    "train-text": ("drywallqa.cli.train:train_text", "Train the text encoder of a bundle."),
    "check-text": ("drywallqa.cli.train:check_text", "Measure a text encoder on lists of phrasings."),
    "ablate": ("drywallqa.cli.sweep:ablate", "Train one run per recipe, and compare the results."),
    "export": ("drywallqa.cli.export:export", "Export a training run as a bundle."),
    "evaluate": ("drywallqa.cli.evaluate:evaluate", "Measure the quality of a model."),
    "diagnose": (
        "drywallqa.cli.diagnose:diagnose",
        "Find faults in a model or its data, with likely causes.",
    ),
    "report": ("drywallqa.cli.report:report", "Write a training report as HTML, Markdown and PDF."),
    "refine": ("drywallqa.cli.evaluate:refine", "Measure the gain and the cost of mask refinements."),
    "speed": ("drywallqa.cli.speed:speed", "Measure a bundle's speed on this machine."),
}
# Hidden subcommands of earlier versions → the current subcommand with its options.
RENAMED: dict[str, tuple[str, ...]] = {
    "bench": ("speed",),
    "benchmark": ("evaluate", "--suite", "release"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    0: success. 1: the command found a problem, such as a leak. 2: wrong usage. 3: some inputs failed.
    70: unexpected error. 130: interrupted by the user. 141: the reader of the output closed the pipe.
    """
    asked = sys.argv[1:] if arguments is None else list(arguments)
    gc.set_threshold(100_000)  # garbage collection during the imports would cost 20 ms and free nothing
    try:
        limit_library_threads()
        escape_output()
        warnings.filterwarnings("ignore", module=r"PIL(\.|$)")  # damaged photos raise errors anyway
        from drywallqa.cli.verbs import command

        try:
            command(VERBS, RENAMED).main(args=asked, prog_name="drywallqa")
            code = 0
        except SystemExit as end:
            code = code_of_exit(end)
        flush_output()
        return code
    except BaseException as error:  # Python's own exit code 1 would mean "found a problem"
        return code_of(error)
