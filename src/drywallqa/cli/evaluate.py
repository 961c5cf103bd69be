"""`drywallqa evaluate` and `refine`: measure a model, and compare mask refinements."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drywallqa.cli.verbs import note_renamed

# Options that a suite accepts in addition to the options in _OF_ALL.
_OF_SUITE = {
    "release": {"count", "composites", "robustness", "steadiness", "json_file"},
    "phone": {"count", "section", "elsewhere", "json_file", "phone_size"},
}
_OF_ALL = {"data", "model", "split", "suite", "write", "quiet"}


def evaluate(
    context: typer.Context,
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder of an imported and split data set.")],
    model: Annotated[
        Path | None, typer.Option(metavar="BUNDLE|RUN", help="Model to measure. Default: the bundled model.")
    ] = None,
    split: Annotated[str, typer.Option(help="Split to measure.")] = "test",
    suite: Annotated[
        str | None,
        typer.Option(
            metavar="release|phone",
            help="Measure a bundle with a fixed suite. release: all metrics of the model card, including "
            "baselines, composites and pictures that do not show a wall. phone: photos of 2 to 16 "
            "megapixels (takes hours).",
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="BUNDLE|RUN", help="Second model, to measure on the same photos and prompts."),
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="Prompt to measure. Repeatable. Default: one prompt per concept."),
    ] = None,
    set_name: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME", help="Measure only the photos of this set. Repeatable."),
    ] = None,
    choose: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="Choose new mask thresholds on val before measuring. Rules: iou, recall=0.9, precision=0.8, "
            "sweep (the best of 0.1 … 0.9) or percentile=95.",
        ),
    ] = None,
    choose_presence: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="Choose new presence thresholds on val before measuring. Rules: iou, recall=0.95 or "
            "precision=0.9.",
        ),
    ] = None,
    caution: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONCEPT=SHARE",
            help="If several presence thresholds are equally good on val: 0 selects the lowest, 1 the "
            "highest, and a fraction one in between. Default: the one nearest to 0.5. Repeatable.",
        ),
    ] = None,
    refine: Annotated[
        str,
        typer.Option(
            metavar="auto|none|STEPS",
            help="Refinement steps: guided, crf, morphology, join, or several steps joined by +. auto uses "
            "the setting of the bundle.",
        ),
    ] = "auto",
    scale: Annotated[
        str,
        typer.Option(metavar="auto|fit|native|FACTOR", help="Scale of large photos, as in `segment`."),
    ] = "auto",
    backend: Annotated[
        str, typer.Option(metavar="NAME", help="Runtime: onnxruntime, openvino or torch, if installed.")
    ] = "onnxruntime",
    precision: Annotated[
        str, typer.Option(metavar="fp32|bf16|fp16|int8", help="Precision of the model.")
    ] = "fp32",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for tables, JSON, CSV, pictures and failures.")
    ] = None,
    worst: Annotated[
        int, typer.Option(min=0, help="Number of failures to show per kind of failure and prompt.")
    ] = 12,
    allow_leak: Annotated[
        bool,
        typer.Option("--allow-leak", help="Also measure training photos, with a warning in all outputs."),
    ] = False,
    write: Annotated[
        bool, typer.Option("--write", help="Write the metrics and the chosen thresholds into the bundle.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing evaluation in --out.")
    ] = False,
    count: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Suite release: number of composites (default: 200). Suite phone: number of rendered walls "
            "without cracks (default: 200), and maximum number of boards (60), of mosaics (30) and of cracks "
            "per width (60).",
        ),
    ] = None,
    robustness: Annotated[
        bool,
        typer.Option(
            "--robustness", help="Suite release: also vary light, sharpness, rotation, scale and phrasing."
        ),
    ] = False,
    section: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Suite phone: run only this section (walls, boards, cracks, mosaics or large-walls). "
            "Repeatable.",
        ),
    ] = None,
    elsewhere: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Suite phone: folder of external photos for the section large-walls."
        ),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="With --suite: also write the results as JSON."),
    ] = None,
    composites: Annotated[int | None, typer.Option(min=1, hidden=True)] = None,
    steadiness: Annotated[bool, typer.Option("--steadiness", hidden=True)] = False,
    phone_size: Annotated[bool, typer.Option("--phone-size", hidden=True)] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Do not show the progress.")] = False,
) -> None:
    """Measure IoU, Dice and other metrics by prompt, concept, set and width, with 95 % intervals."""
    from drywallqa.cli import FAILED
    from drywallqa.cli.progress import progress_unless
    from drywallqa.inference.queries import number_or_word
    from drywallqa.workflows.evaluate import EvaluationRequest, run_evaluation
    from drywallqa.workflows.suites import run_suite

    for given, old, new in (
        (composites, "--composites", "--count"),
        (steadiness, "--steadiness", "--robustness"),
        (phone_size, "--phone-size", "--suite phone"),
    ):
        if given:
            note_renamed(old, new)
    suite = "phone" if phone_size else suite
    _refuse_foreign_options(context, suite)
    if suite:
        lines = run_suite(
            suite, data, model, split, count=count or composites, robustness=robustness or steadiness,
            sections=tuple(section or ()), elsewhere=elsewhere, json_file=json_file, write=write,
            report=(lambda text: None) if quiet else print,
        )  # fmt: skip
        print("\n".join(lines))
        return
    request = EvaluationRequest(
        data, model, split, against, tuple(prompt or ()), tuple(set_name or ()),
        choose, choose_presence, out, worst, allow_leak, write, overwrite, refine,
        number_or_word(scale), backend, precision, tuple(caution or ()),
    )  # fmt: skip
    lines, skipped = run_evaluation(request, progress_unless(quiet))
    print("\n".join(lines))
    if skipped:
        raise typer.Exit(FAILED)


def _refuse_foreign_options(context: typer.Context, suite: str | None) -> None:
    """Reject options that would have no effect."""
    from drywallqa.errors import ConfigError

    of_suites = set.union(*_OF_SUITE.values())
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is None or source.name != "COMMANDLINE" or parameter.name in _OF_ALL:
            continue
        if suite is None and parameter.name in of_suites:
            raise ConfigError(f"{parameter.opts[0]} requires --suite {' or '.join(_OF_SUITE)}")
        if suite is not None and parameter.name not in _OF_SUITE.get(suite, of_suites):
            raise ConfigError(f"{parameter.opts[0]} cannot be used with --suite {suite}")


def refine(
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder of an imported and split data set.")],
    model: Annotated[
        Path | None, typer.Option(metavar="BUNDLE", help="Bundle to measure. Default: the bundled model.")
    ] = None,
    candidate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STEPS",
            help="Refinement to measure, such as guided or crf+join. Repeatable. Default: every step and "
            "the useful combinations.",
        ),
    ] = None,
    set_name: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME", help="Measure only the photos of this set. Repeatable."),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the table as JSON.")] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Store the best refinement in the bundle. `segment` then uses it.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file in --out.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Do not show the progress.")] = False,
) -> None:
    """Measure on val how much each mask refinement gains (with 95 % intervals) and how long it takes."""
    from drywallqa.cli.progress import progress_unless
    from drywallqa.workflows.refine import run_refinements

    lines = run_refinements(
        data, model, candidate or (), set_name or (), out=out, write=write, overwrite=overwrite,
        progress=progress_unless(quiet),
    )  # fmt: skip
    print("\n".join(lines))
