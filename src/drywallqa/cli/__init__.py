"""The command line: one small file per verb, imported only when that verb runs."""

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

# name → (module:object, help in one line); the object is a function, or a Typer app with verbs of its own.
VERBS: dict[str, tuple[str, str]] = {
    "segment": ("drywallqa.cli.segment:segment", "Segment photos under prompts into a folder of masks."),
    "demo": ("drywallqa.cli.demo:demo", "Render example walls, segment them, and show the results."),
    "data": ("drywallqa.cli.data:app", "Import, split, audit and describe data sets."),
    "models": ("drywallqa.cli.models:app", "List model families, describe one, bring its weights."),
    "train": ("drywallqa.cli.train:train", "Train a model on a data set, or fine-tune a bundle."),
    "sweep": ("drywallqa.cli.sweep:sweep", "Train runs over a range of settings, and compare them."),
    "replay": ("drywallqa.cli.replay:replay", "Repeat a batch whose loss was not finite, step by step."),
    "train-text": ("drywallqa.cli.train_text:train_text", "Train the text side of a bundle."),
    "check-text": ("drywallqa.cli.train_text:check_text", "Measure a text side on lists of phrasings."),
    "ablate": ("drywallqa.cli.ablate:ablate", "Train one run per recipe, and compare the results."),
    "export": ("drywallqa.cli.export:export", "Turn a checkpoint into a bundle."),
    "evaluate": ("drywallqa.cli.evaluate:evaluate", "Measure a model, with intervals, curves, failures."),
    "diagnose": (
        "drywallqa.cli.diagnose:diagnose",
        "Find faults of a model or its data, and causes.",
    ),
    "report": ("drywallqa.cli.report:report", "Write a training report: HTML, Markdown, PDF."),
    "refine": ("drywallqa.cli.refine:refine", "Measure the gain and cost of refinements of masks."),
    "speed": ("drywallqa.cli.speed:speed", "Measure a bundle's speed here, beside plain CLIPSeg."),
}
# Verbs of earlier versions, which still work but are hidden: name → the verb and options that replace it.
RENAMED: dict[str, tuple[str, ...]] = {
    "bench": ("speed",),
    "benchmark": ("evaluate", "--suite", "release"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    0 done; 1 done, and it found something; 2 wrong usage; 3 some inputs failed; 70 an unforeseen error;
    130 stopped from the keyboard; 141 nobody reads the output any more.
    """
    asked = sys.argv[1:] if arguments is None else list(arguments)
    gc.set_threshold(100_000)  # imports make many objects and no garbage: searching them costs 20 ms
    try:
        limit_library_threads()
        escape_output()
        warnings.filterwarnings("ignore", module=r"PIL(\.|$)")  # errors report damaged pictures
        from drywallqa.cli.verbs import command

        try:
            command(VERBS, RENAMED).main(args=asked, prog_name="drywallqa")
            code = 0
        except SystemExit as end:
            code = code_of_exit(end)
        flush_output()
        return code
    except BaseException as error:  # Python would exit with 1, which means "found something"
        return code_of(error)
