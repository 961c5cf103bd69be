"""The command line: one small file a verb, each imported only when it is asked for."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

# Exit codes beside 0.
FOUND, USAGE, FAILED = 1, 2, 3

# name → (module:object, help in one line); the object is a function, or a Typer app with verbs of its own.
VERBS: dict[str, tuple[str, str]] = {
    "segment": ("drywallqa.cli.segment:segment", "Segment photos under prompts into a folder of masks."),
    "demo": ("drywallqa.cli.demo:demo", "Render example walls, segment them, and show the results."),
    "data": ("drywallqa.cli.data:app", "Import, split, audit and describe data sets."),
    "models": ("drywallqa.cli.models:app", "List model families, describe one, bring its weights."),
    "train": ("drywallqa.cli.train:train", "Train a model on a data set, or fine-tune a bundle."),
    "sweep": ("drywallqa.cli.sweep:sweep", "Train runs over a range of settings, and compare them."),
    "replay": ("drywallqa.cli.replay:replay", "Look closer at a batch whose loss was not finite."),
    "train-text": ("drywallqa.cli.train_text:train_text", "Train the text side of a bundle."),
    "check-text": ("drywallqa.cli.train_text:check_text", "Measure a text side on lists of phrasings."),
    "ablate": ("drywallqa.cli.ablate:ablate", "Train one run a recipe, and table what each reaches."),
    "export": ("drywallqa.cli.export:export", "Turn a checkpoint into a bundle."),
    "evaluate": ("drywallqa.cli.evaluate:evaluate", "Measure a model, with intervals, curves, failures."),
    "diagnose": ("drywallqa.cli.diagnose:diagnose", "Say what is wrong with a model or its data, and why."),
    "report": ("drywallqa.cli.report:report", "Write a training report: HTML, Markdown, PDF."),
    "refine": ("drywallqa.cli.refine:refine", "Measure what refinements of masks gain and cost."),
    "bench": ("drywallqa.cli.bench:bench", "Measure a bundle's speed here, beside plain CLIPSeg."),
    "benchmark": ("drywallqa.cli.benchmark:benchmark", "Measure a bundle's quality on a data set."),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    0 done; 1 done, and it found something; 2 wrong usage; 3 some inputs failed.
    """
    asked = sys.argv[1:] if arguments is None else list(arguments)
    gc.set_threshold(100_000)  # imports make many objects and no garbage: searching them costs 20 ms
    from drywallqa.cli.verbs import command
    from drywallqa.errors import DataError, DrywallQAError, MissingExtraError, PhotoError

    try:
        command(VERBS).main(args=asked, prog_name="drywallqa")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except DrywallQAError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        return FAILED if isinstance(error, PhotoError | DataError) else USAGE
    except ModuleNotFoundError as error:
        name = (error.name or "drywallqa").split(".")[0]
        if name == "drywallqa":
            raise
        # Verbs import what they need where they need it, so the base install meets its limits here.
        lacking = MissingExtraError(f"this (it lacks {name})", "dev" if name == "skimage" else "train")
        print(f"error: {lacking}", file=sys.stderr)
        return USAGE
    return 0


def one_line(text: str) -> str:
    """Keep a message on one line, whatever a file's name or a prompt holds."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )
