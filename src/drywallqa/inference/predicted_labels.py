"""Write the predicted masks of a results folder as pre-annotations for labelling tools."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from drywallqa.errors import OutputError, PhotoError
from drywallqa.formats import problems
from drywallqa.formats.annotations import MaskedPhoto, WriteResult
from drywallqa.formats.problems import Problem
from drywallqa.formats.writing import write_export
from drywallqa.imaging.mask_files import read_mask
from drywallqa.inference.manifest import Manifest, Record


def write_predicted_labels(
    out: Path, manifest: Manifest, prompts: Sequence[str], layout: str
) -> tuple[Path, WriteResult]:
    """Write the masks of a results folder in an annotation format to its subfolder `labels-FORMAT`.

    The labels refer to the photos by name, and the photos are not copied. Every photo with a mask for one of
    the prompts is included. Photos that could not be segmented are left out.

    Args:
        out: The results folder.
        manifest: Its manifest.
        prompts: The prompts to write.
        layout: A key of `formats.writing.WRITERS`.

    Returns:
        The subfolder and the writer's result. The subfolder of an earlier run is replaced.

    Raises:
        DataError: No photo could be written.
        OutputError: The files cannot be written.
    """
    folder = out / f"labels-{layout}"
    if any(PurePosixPath(path).parts[0] == folder.name for path in manifest.masks):
        raise OutputError(f"{folder}: has masks of this run; choose another folder for the results")
    records = [record for record in manifest.masks.values() if record["prompt"] in prompts]
    classes = _class_names(records, prompts)
    photos = _read_photos(out, manifest, records, classes)
    return folder, write_export(folder, layout, photos, [*classes.values()], replace=True)


def _class_names(records: Sequence[Record], prompts: Sequence[str]) -> dict[str, str]:
    """Choose each prompt's class name: its concept, or the prompt if several prompts share the concept."""
    concepts = {record["prompt"]: record.get("concept") for record in records}
    names = [concepts.get(prompt) for prompt in prompts]
    return {
        prompt: name if name and names.count(name) == 1 and name not in prompts else prompt
        for prompt, name in zip(prompts, names, strict=True)
    }


def _read_photos(
    out: Path, manifest: Manifest, records: Sequence[Record], classes: Mapping[str, str]
) -> Iterator[MaskedPhoto | Problem]:
    """Yield photos with the masks of their prompts, and any problems. Keep one photo in memory at a time."""
    failed = {key: record for (kind, key), record in manifest.errors.items() if kind == "photo"}
    for record in failed.values():
        text = f"was not segmented ({record['error']}); left out"
        yield Problem(problems.PASSED_OVER, str(record["source"]), "", text)
    photos: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if os.path.abspath(record["source"]) not in failed:  # noqa: PTH100
            folder = PurePosixPath(record["mask"]).parent
            photos[str(folder / Path(record["source"]).name)].append(record)
    for name, each in photos.items():
        size = each[0]["height"], each[0]["width"]
        try:
            masks = {classes[record["prompt"]]: read_mask(out / record["mask"]) for record in each}
        except PhotoError as error:
            yield Problem(problems.UNREADABLE, name, "", f"{error}; the photo is left out")
            continue
        if any(mask.shape != size for mask in masks.values()):
            text = f"a mask does not have the photo's size of {size[1]}×{size[0]} px; the photo is left out"
            yield Problem(problems.SIZE, name, "", text)
            continue
        scores = {classes[record["prompt"]]: record["presence"] for record in each}
        yield MaskedPhoto(name, None, *size, masks, model=_model_of(each[0]), scores=scores)


def _model_of(record: Record) -> str:
    """Return the drywallqa version and the model version, which are the first two settings of a record."""
    return ", ".join(str(record["settings"]).split(", ")[:2])
