"""Sound data sets, rendered and real, and the tools to change copies of them."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from drywallqa.cli import main
from drywallqa.datasets.dataset import Dataset, Sample, load_dataset, save_dataset
from drywallqa.imaging import mask_files
from drywallqa.synthetic.walls import render_wall
from planted.case import Severity, UnavailableError

REPOSITORY = Path(__file__).resolve().parents[2]
CRACK, TAPING = "crack", "taping area"
SIDE = 448
"""Of rendered photos, px."""
_FIRST_SEED = 910_000
"""Rendered training sets take their seeds elsewhere, so no model has seen these walls."""
_PARTS = {"train": 14, "val": 12, "test": 12}
_KINDS = (
    "crack", "seam", "crack", "neither", "both", "seam", "crack", "seam", "crack", "neither", "seam", "both",
)  # fmt: skip
_CLASSES = {CRACK: "NewCracks - v2 2024-05-18 10-54pm", TAPING: "drywall-join"}
PhotoChange = Callable[[np.ndarray], np.ndarray]
MaskChange = Callable[[np.ndarray, int], np.ndarray]


def shared(folder: Path, name: str, make: Callable[[Path], object]) -> Path:
    """Make something once for all cases beside `folder`, whole or not at all."""
    place = folder.parent / "shared" / name
    if not place.exists():
        beside = place.with_name(f".{name}.{os.getpid()}")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        make(beside)
        beside.replace(place)
    return place


def quietly(arguments: Sequence[str]) -> int:
    """Call the command line without its words; returns its exit code."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return main(list(arguments))


def base(folder: Path, severity: Severity) -> Path:
    """The sound data set that a fault is planted into: real photos for "clear", else rendered ones."""
    return real(folder) if severity == "clear" else rendered(folder)


def rendered(folder: Path) -> Path:
    """Rendered walls, labelled as people label, in three parts."""
    return shared(folder, "rendered", lambda place: render_set(place, _PARTS, _FIRST_SEED))


def render_set(folder: Path, parts: dict[str, int], seed: int, side: int = SIDE) -> Dataset:
    """Render a sound data set of `side` px walls: part → number of walls."""
    samples = []
    for part, count in parts.items():
        for place in range(count):
            wall = render_wall(seed + len(samples), (side, side), _KINDS[place % len(_KINDS)])  # type: ignore[arg-type]
            name = f"wall-{len(samples):03d}"
            sample = Sample(name, f"photos/walls/{name}.jpg", "walls", name, side, side, {}, part)
            write_photo(folder / sample.photo, wall.photo)
            labels: dict[str, str | None] = {}
            for concept, label in wall.labels.items():
                labels[concept] = f"masks/{concept}/walls/{name}.png" if label.any() else None
                if label.any():
                    write_mask(folder / f"masks/{concept}/walls/{name}.png", label)
            samples.append(replace(sample, labels=labels))
    made = Dataset(folder, tuple(samples), {c: (f"segment {c}",) for c in (CRACK, TAPING)})
    save_dataset(made)
    return made


def real_folder() -> Path:
    """Where the public sets lie.

    Raises:
        UnavailableError: They are not here.
    """
    folder = Path(os.environ.get("DRYWALLQA_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "cracks.yolov8").is_dir():
        raise UnavailableError("the real data sets are not here; set DRYWALLQA_DATA to their folder")
    return folder


def real(folder: Path) -> Path:
    """A few dozen real photos in three parts; of the fixed split, val makes both our val and our test."""
    return shared(folder, "real", lambda place: _import_real(place, real_folder()))


def _import_real(place: Path, source: Path) -> None:
    chosen = _choose(source)
    exports = place / "exports"
    for file in chosen:
        target = exports / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / file, target)
        label = Path("cracks.yolov8/train/labels") / f"{Path(file).stem}.txt"
        if file.startswith("cracks"):
            (exports / label).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / label, exports / label)
    shutil.copyfile(source / "cracks.yolov8/data.yaml", exports / "cracks.yolov8/data.yaml")
    coco = "drywall-join-detect.coco/train/_annotations.coco.json"
    data = json.loads((source / coco).read_text(encoding="utf-8"))
    names = {Path(file).name for file in chosen}
    data["images"] = [image for image in data["images"] if image["file_name"] in names]
    kept = {image["id"] for image in data["images"]}
    data["annotations"] = [entry for entry in data["annotations"] if entry["image_id"] in kept]
    (exports / coco).write_text(json.dumps(data), encoding="utf-8")
    sets = (("cracks.yolov8", "cracks", CRACK, TAPING), ("drywall-join-detect.coco", "taping", TAPING, CRACK))
    for export, name, concept, absent in sets:
        verb = ["data", "import", str(exports / export), "--out", str(place), "--set", name]
        code = quietly([*verb, "--concept", f"{_CLASSES[concept]}={concept}", "--absent", absent])
        if code:
            raise RuntimeError(f"the import of {export} ended with exit code {code}")
    shutil.rmtree(exports)
    imported = load_dataset(place)
    parts = {Path(file).stem: part for file, part in chosen.items()}
    # what an import had to mend is true of the real sets, and no sound case
    clean = [replace(s, split=parts[s.image_id]) for s in imported if not s.notes]
    save_dataset(imported.with_samples(clean))


def _choose(source: Path) -> dict[str, str]:
    """Choose photos of the train folders: file → part. Photographs never lie in two parts."""
    with (source / "benchmark.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if "/train/" in row["file"]]
    chosen = {}
    for name, trained, held in (("cracks", 6, 8), ("taping", 6, 6)):
        groups: dict[str, dict[str, list[str]]] = {"train": {}, "val": {}}
        for row in rows:
            if row["dataset"] == name and row["split"] in groups:
                photograph = Path(row["file"]).name.split(".rf.")[0]
                groups[row["split"]].setdefault(photograph, []).append(row["file"])
        train, val = (sorted(groups[part].values()) for part in ("train", "val"))
        step = max(1, len(train) // trained)
        chosen |= {file: "train" for copies in train[::step][:trained] for file in copies[:2]}
        # the two ends of the alphabet: neighbours by name were taken at the same place
        chosen |= {copies[0]: "val" for copies in val[:held]}
        chosen |= {copies[0]: "test" for copies in val[-held:]}
    return chosen


def copy_set(source: Path, folder: Path) -> Dataset:
    """Copy a data set so that its files can be replaced one by one."""
    shutil.copytree(source, folder, copy_function=link)
    return load_dataset(folder)


def link(source: str, target: str) -> str:
    """Link a file where the disk can, else copy it; the tools here replace files and never change one."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target


def write_photo(path: Path, photo: np.ndarray, quality: int = 95) -> None:
    """Write a photo [H,W,3] as a new JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    Image.fromarray(np.ascontiguousarray(photo)).save(path, "JPEG", quality=quality)


def write_mask(path: Path, mask: np.ndarray) -> None:
    """Write a mask [H,W] as a new file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    mask_files.write_mask_file(path, np.ascontiguousarray(mask, dtype=bool))


def resize(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale a photo smoothly, a mask (bool) by nearest neighbours."""
    if picture.dtype == bool:
        image = Image.fromarray(picture.astype(np.uint8) * 255)
        return np.asarray(image.resize((width, height), Image.Resampling.NEAREST)) > 127
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))


def pick(samples: Iterable[Sample], share: float) -> list[Sample]:
    """Choose a share of samples, spread over the whole, at least one."""
    every = list(samples)
    count = max(1, round(share * len(every)))
    places = sorted(np.random.default_rng(0).permutation(len(every))[:count])
    return [every[place] for place in places]


def labelled(dataset: Dataset, concept: str) -> list[Sample]:
    """Samples that show a concept."""
    return [sample for sample in dataset if sample.labels.get(concept)]


def mask_path(dataset: Dataset, sample: Sample, concept: str) -> Path:
    """Where the mask of a concept lies that the sample shows."""
    name = sample.labels[concept]
    if name is None:
        raise ValueError(f"{sample.image_id} does not show {concept}")
    return dataset.folder / name


def change_masks(
    dataset: Dataset, share: float, change: MaskChange, concepts: Sequence[str] = (CRACK, TAPING)
) -> None:
    """Replace a share of each concept's masks by what `change` makes of mask [H,W] and a running number."""
    for concept in concepts:
        for number, sample in enumerate(pick(labelled(dataset, concept), share)):
            mask = change(dataset.read_mask(sample, concept), number)
            write_mask(mask_path(dataset, sample, concept), mask)


def put(dataset: Dataset, changed: dict[str, Sample], added: Sequence[Sample] = ()) -> None:
    """Save a data set with samples replaced by image id, and others added."""
    kept = [changed.get(f"{s.set_name}/{s.image_id}", s) for s in dataset]
    save_dataset(dataset.with_samples([*kept, *added]))


def key(sample: Sample) -> str:
    """What `put` knows a sample by."""
    return f"{sample.set_name}/{sample.image_id}"
