"""Write the files of a prediction and create its manifest record."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drywallqa.errors import ConfigError, OutputError
from drywallqa.files import json_bytes, write_whole
from drywallqa.imaging import mask_files
from drywallqa.inference.manifest import Record
from drywallqa.inference.prediction import Prediction

ADVICE = "choose another --out, or add --overwrite to replace it"

Photo = NDArray[np.uint8]
WriteFile = Callable[[str, bytes, bool], None]
"""Function that writes bytes to a path in the results folder. The flag states whether it may replace a file
with different content."""


@dataclass(frozen=True)
class Output:
    """One kind of file that is written for every photo and prompt.

    Attributes:
        kind: Name of this kind of file in the manifest.
        suffix: The part of the file name after `{image_id}__{prompt}`.
        encode: Function that encodes the photo [H,W,3] and the prediction as bytes. The same inputs always
            give the same bytes.
        folder: Subfolder of the results folder for files that are not stored beside the masks.
        replaceable: Whether the file may be replaced without `overwrite`. True only for files that are meant
            for viewing.
    """

    kind: str
    suffix: str
    encode: Callable[[Photo, Prediction], bytes]
    folder: str = ""
    replaceable: bool = False

    def path(self, folder: str, base_name: str) -> str:
        """Return the file's path relative to the results folder, with forward slashes."""
        return "/".join(part for part in (self.folder, folder, base_name + self.suffix) if part)


def _encode_mask(photo: Photo, prediction: Prediction) -> bytes:
    return mask_files.encode_mask(prediction.mask)


def _encode_probability(photo: Photo, prediction: Prediction) -> bytes:
    if prediction.probability is None:
        raise ConfigError("the probabilities were not kept; pass keep_probability=True")
    values = (prediction.probability * np.float32(255) + np.float32(0.5)).astype(np.uint8)
    return mask_files.encode_grey(values)


def _encode_lines(photo: Photo, prediction: Prediction) -> bytes:
    height, width = prediction.mask.shape
    lines = [
        {
            "start": [round(value, 1) for value in line.start],
            "end": [round(value, 1) for value in line.end],
            "length": round(line.length, 1),
        }
        for line in prediction.lines()
    ]
    content = {"prompt": prediction.prompt, "width": width, "height": height, "lines": lines}
    return json_bytes(content, None)


MASK = Output("mask", ".png", _encode_mask)
PROBABILITY = Output("probability_map", ".probability.png", _encode_probability)
LINES = Output("lines", ".lines.json", _encode_lines)


def write_prediction(
    photo: Photo,
    prediction: Prediction,
    outputs: Sequence[Output],
    folder: str,
    write: WriteFile,
    overwrite: bool,
) -> Record:
    """Write the files of a prediction and return its record; see `manifest.FIELDS`.

    Args:
        photo: RGB uint8 [H,W,3].
        prediction: The prediction.
        outputs: The kinds of files.
        folder: The photo's subfolder of the results folder; "" if there is no subfolder.
        write: Function that writes a file; see `WriteFile`.
        overwrite: Whether to replace files with different content.

    Raises:
        OutputError: A file cannot be written.
    """
    base = mask_files.base_name(prediction.image_id, prediction.prompt)
    height, width = prediction.mask.shape
    record: Record = {
        "image_id": prediction.image_id,
        "prompt": prediction.prompt,
        "concept": prediction.concept,
        "height": height,
        "width": width,
        "presence": round(prediction.presence, 6),
        "presence_threshold": prediction.presence_threshold,
        "threshold": prediction.threshold,
        "area": round(prediction.area, 8),
        "quality": list(prediction.quality),
        "mask_kind": prediction.kind,
    }
    if prediction.unseen is not None:
        record["unseen"] = round(prediction.unseen, 4)
    for output in outputs:
        content, path = output.encode(photo, prediction), output.path(folder, base)
        write(path, content, overwrite or output.replaceable)
        record[output.kind] = path
        if output == MASK:
            record["mask_sha256"] = hashlib.sha256(content).hexdigest()
    return record


def write_output(path: Path, content: bytes, overwrite: bool) -> None:
    """Write an output file, unless a file with different content exists.

    Raises:
        OutputError: The file cannot be written, or exists with different content and `overwrite` is false.
    """
    if not overwrite:
        try:
            with suppress(FileNotFoundError):
                if path.read_bytes() == content:
                    return
                raise OutputError(f"{path} already exists with different content; {ADVICE}")
        except OSError as error:
            raise OutputError(f"{path}: cannot be read ({error.strerror}); choose another folder") from error
    write_whole(path, content)
