"""`drywallqa models`: list and describe model families, and download and try published weights."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="List, describe, download and try model families."
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a model family, as in `models list`.")]


@app.command("list")
def list_models() -> None:
    """List the model families with parameters, input size, vocabulary and availability of their weights."""
    from drywallqa.bundle.bundle import load_bundle
    from drywallqa.models.published_weights import ORIGINS, cached_folder
    from drywallqa.models.registry import FAMILIES

    bundle = load_bundle()
    for family in FAMILIES.values():
        parameters = bundle.metrics["parameters"] if bundle.name == family.name else family.parameters
        side = f"{family.side} px" if family.side else f"n × {family.multiple} px"
        vocabulary = "open" if family.open_vocabulary else "trained concepts"
        missing = ", ".join(name for name in family.origins if cached_folder(ORIGINS[name]) is None)
        weights = f"{missing} missing" if missing else "available"
        size = f"{parameters / 1e6:.1f} M"
        print(f"{family.name:<19} {size:>8}  {side:<9}  {vocabulary:<16}  weights: {weights}")
        print(f"{'':<19} {family.summary}")


@app.command("info")
def info(name: Name) -> None:
    """Describe a model family: parameters, input, vocabulary, licences and publication."""
    from drywallqa.bundle.bundle import load_bundle
    from drywallqa.models.published_weights import ORIGINS, PINS, cached_folder
    from drywallqa.models.registry import find_family

    family, bundle = find_family(name), load_bundle()
    rows = {"model": f"{family.name}: {family.summary}", "parameters": f"{family.parameters:,}"}
    if bundle.name == family.name:
        options = ", ".join(f"{option} {value}" for option, value in bundle.architecture.items())
        rows["bundled model"] = (
            f"{bundle.metrics['parameters']:,} parameters ({options}), photos at {bundle.window.size} px"
        )
        rows["parameters"] += " with the default training options"
    side = f"{family.side}×{family.side} px only" if family.side else f"multiples of {family.multiple} px"
    shape = "square, photos are letterboxed" if family.square else "or with the aspect ratio of the photo"
    rows |= {
        "input": f"{side}, {shape}; default {family.default_side} px",
        "vocabulary": "open" if family.open_vocabulary else "closed: only the trained concepts",
        "text": "own text encoder" if family.own_text else "text encoder of the bundle",
        "training": f"drywallqa train --model {family.name}" if family.trainable else "not possible",
        "untrained": f"drywallqa models try {family.name}" if family.open_vocabulary else "cannot segment",
        "exports": ", ".join(family.exports) or "none",
        "licence of code": family.code_licence,
        "licence of weights": family.weight_licence,
        "source": family.paper,
    }
    for origin in (ORIGINS[key] for key in family.origins):
        folder = cached_folder(origin)
        state = f"available ({folder})" if folder else "missing"
        rows[f"weights '{origin.name}'"] = f"{origin.hub_id}, revision {origin.revision}, {state}"
    if family.origins:
        rows["revisions"] = PINS
    for key, value in rows.items():
        print(f"{key:<20} {value}")


@app.command("pull")
def pull(name: Name) -> None:
    """Download the published weights of a model family, or of clipseg, clip or sam, into the Hub cache."""
    from drywallqa.models.published_weights import ORIGINS, pull_weights
    from drywallqa.models.registry import FAMILIES, find_family

    names = (name,) if name in ORIGINS and name not in FAMILIES else find_family(name).origins
    if not names:
        print(f"{name}: nothing to download, because its initial weights are part of installed packages")
    for origin in (ORIGINS[key] for key in names):
        print(f"{origin.hub_id}: {pull_weights(origin)}")


@app.command("try")
def try_model(
    name: Name,
    photo: Annotated[list[Path], typer.Argument(metavar="PHOTO…", help="Photos to segment.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the masks.")],
    prompt: Annotated[list[str] | None, typer.Option(metavar="TEXT", help="Text prompt. Repeatable.")] = None,
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder of the published weights. Default: the Hub cache."),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="NAME=VALUE", help="Option of the model family. Repeatable."),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(metavar="PX", help="Input size in px. Default: the usual size of the model family."),
    ] = None,
) -> None:
    """Segment photos with a published model that needs no training: CLIPSeg, or SAM masks ranked by CLIP."""
    from drywallqa.cli import FAILED
    from drywallqa.errors import PhotoError
    from drywallqa.experiments.published_models import open_published, segment_published
    from drywallqa.models.contract import check_prompts

    check_prompts(prompt or ())
    failed = False
    segmenter = open_published(name, weights, _options(options or ()), size)
    for result in segment_published(segmenter, photo, prompt or (), out):
        if isinstance(result, PhotoError):
            print(f"error: {result}", file=sys.stderr)
            failed = True
        else:
            file, prediction = result
            print(f"{file}: presence {prediction.presence:.2f}, {prediction.area:.1%} of the photo")
    if failed:
        raise typer.Exit(FAILED)


def _options(given: Sequence[str]) -> dict[str, Any]:
    import yaml

    from drywallqa.errors import ConfigError

    found = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals:
            raise ConfigError(f"--option {each}: must have the form NAME=VALUE")
        found[name.strip()] = yaml.safe_load(value)
    return found


@app.command("clear-cache")
def clear_cache() -> None:
    """Delete the features that training runs with data.cached_views have cached on disk."""
    from drywallqa.sampling.feature_cache import FeatureCache

    cache = FeatureCache()
    size = cache.size()
    print(f"{cache.folder}: {cache.clear()} files removed, {size / 1e6:.0f} MB")
