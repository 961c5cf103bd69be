"""What `evaluate` counts is what `segment --mask outline` writes, to the pixel, however a photo is run."""

import csv
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from drywallqa import cli
from drywallqa.curation.rendered_sets import _add
from drywallqa.datasets.dataset import Dataset
from drywallqa.imaging import mask_files
from drywallqa.metrics import Counts
from drywallqa.synthetic.walls import CRACK, TAPING_AREA, render_wall

PROMPTS = {"segment crack": CRACK, "segment taping area": TAPING_AREA}
SHIPPED = {name: str(Path(cli.__file__).parent.parent / "bundles" / name) for name in ("compact", "swift")}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos larger than two windows: with a crack and a joint, and a panorama."""
    folder = tmp_path_factory.mktemp("data")

    def pictures():
        for number, (size, kind) in enumerate(
            (((1000, 1300), "both"), ((960, 700), "seam"), ((330, 1000), "crack"))
        ):
            wall = render_wall([77, number], size, kind)
            yield f"wall-{number}", wall.photo, wall.labels

    _add(Dataset(folder, (), {"crack": ()}), "walls", "test", pictures(), 3)
    return folder


def counted(out: Path) -> dict[tuple[str, str], Counts]:
    with (out / "pairs.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {
        (Path(row["photo"]).stem, row["prompt"]): Counts(
            *(int(row[name]) for name in ("tp", "fp", "fn", "tn"))
        )
        for row in rows
    }


def written(data: Path, out: Path) -> dict[tuple[str, str], Counts]:
    found = {}
    for photo in sorted((data / "photos" / "walls").iterdir()):
        for prompt, concept in PROMPTS.items():
            mask = mask_files.read_mask(out / mask_files.file_name(photo.stem, prompt))
            truth = data / "masks" / concept.replace(" ", "_") / "walls" / f"{photo.stem}.png"
            labelled = mask_files.read_mask(truth) if truth.is_file() else np.zeros_like(mask)
            found[photo.stem, prompt] = Counts.of(mask, labelled)
    return found


@pytest.mark.parametrize(
    ("bundle", "options"),
    [
        ("compact", []),
        ("compact", ["--scale", "fit"]),
        ("compact", ["--scale", "native"]),
        ("compact", ["--scale", "0.6", "--refine", "guided+join"]),
        ("compact", ["--refine", "morphology"]),
        ("swift", []),
        ("swift", ["--precision", "int8"]),
        ("compact", ["--backend", "openvino"]),
        ("compact", ["--backend", "torch", "--scale", "fit"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_evaluate__counts_are_those_of_the_files_that_segment_writes(
    bundle: str, options: Sequence[str], data: Path, tmp_path: Path
) -> None:
    for runtime in ("openvino", "torch"):
        if runtime in options and importlib.util.find_spec(runtime) is None:
            pytest.skip(f"{runtime} is not installed")
    asked = [argument for prompt in PROMPTS for argument in ("--prompt", prompt)]
    model = ["--model", SHIPPED[bundle], *asked, *options, "--quiet"]
    photos = str(data / "photos" / "walls")
    assert (
        cli.main(
            ["segment", photos, "--out", str(tmp_path / "masks"), "--no-index", "--mask", "outline", *model]
        )
        == 0
    )
    assert cli.main(["evaluate", "--data", str(data), "--out", str(tmp_path / "figures"), *model]) == 0
    found = counted(tmp_path / "figures")
    assert found == written(data, tmp_path / "masks")
    assert sum(counts.tp for counts in found.values()) > 0, "something was found"
