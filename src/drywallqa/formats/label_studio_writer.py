"""Write Label Studio tasks whose annotations or predictions contain the masks as brush regions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from drywallqa.formats import problems
from drywallqa.formats.annotations import MaskedPhoto, WriteResult
from drywallqa.formats.label_folder import IMAGES, LabelFolder
from drywallqa.formats.rle import encode_brush

_BRUSH, _IMAGE = "label", "image"


def write_label_studio(folder: Path, photos: Iterable[MaskedPhoto], classes: Sequence[str]) -> WriteResult:
    """Write `tasks.json` and `label_config.xml`, and copy the photos to `images/SPLIT/`.

    Masks of a model become predictions, which Label Studio shows as pre-annotations. Other masks become
    finished annotations. The tasks refer to the photos as local files below `folder`. If the photos are not
    copied, the tasks refer to local files below the photos' own folder.

    In a finished annotation, a class without a region counts as absent, so photos in which a class is unknown
    are left out.

    Args:
        folder: A new folder.
        photos: The photos with their masks.
        classes: The classes, which become labels.
    """
    target = LabelFolder(folder, classes)
    seen: set[str] = set()
    with target.add("tasks.json").open("w", encoding="utf-8") as stream:
        stream.write("[")
        for number, photo in enumerate(target.take(photos, all_known=True), 1):
            copied = f"{IMAGES}/{target.path_of(photo)}" if photo.path else photo.name
            stream.write(("," if number > 1 else "") + "\n" + json.dumps(_task(number, photo, copied)))
            seen |= {name for name, mask in photo.masks.items() if mask is not None}
        stream.write("\n]\n")
    labels = "".join(f"    <Label value={quoteattr(name)}/>\n" for name in classes)
    target.add("label_config.xml").write_text(
        f'<View>\n  <Image name="{_IMAGE}" value="$image"/>\n'
        f'  <BrushLabels name="{_BRUSH}" toName="{_IMAGE}">\n{labels}  </BrushLabels>\n</View>\n',
        encoding="utf-8",
    )
    unused = [name for name in classes if name not in seen]
    if unused:
        listed = ", ".join(f"'{name}'" for name in unused)
        text = f"no photo shows {listed}; the tasks cannot state this, because they do not list their labels"
        target.note(problems.INEXACT, text)
    return target.result()


def _task(number: int, photo: MaskedPhoto, path: str) -> dict[str, Any]:
    results = [_result(name, photo) for name, mask in photo.masks.items() if mask is not None]
    data = {"image": f"/data/local-files/?d={quote(path)}", "split": photo.split}
    if not photo.model:
        return {"id": number, "data": data, "annotations": [{"result": results, "was_cancelled": False}]}
    prediction: dict[str, Any] = {"model_version": photo.model, "result": results}
    scores = [result["score"] for result in results if "score" in result]
    if scores:
        prediction["score"] = min(scores)  # Label Studio sorts tasks by this score, the least certain first
    return {"id": number, "data": data, "predictions": [prediction]}


def _result(name: str, photo: MaskedPhoto) -> dict[str, Any]:
    mask = photo.masks[name]
    assert mask is not None
    score = {"score": photo.scores[name]} if name in photo.scores else {}
    return {
        "id": f"{list(photo.masks).index(name) + 1}",
        "type": "brushlabels",
        "from_name": _BRUSH,
        "to_name": _IMAGE,
        "original_width": photo.width,
        "original_height": photo.height,
        "image_rotation": 0,
        "value": {"format": "rle", "rle": encode_brush(mask), "brushlabels": [name]},
        **score,
    }
