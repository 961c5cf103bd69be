"""Write CVAT XML 1.1 "for images", with a run-length encoded mask for each class of a photo."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO
from xml.sax.saxutils import escape, quoteattr

from drywallqa.errors import ConfigError
from drywallqa.formats.annotations import MaskedPhoto, WriteResult
from drywallqa.formats.label_folder import LabelFolder
from drywallqa.formats.rle import encode_box_runs

_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_HEAD = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><labels>{labels}</labels></task></meta>
"""


def write_cvat_xml(folder: Path, photos: Iterable[MaskedPhoto], classes: Sequence[str]) -> WriteResult:
    """Write `SPLIT.xml`, and copy the photos to `images/SPLIT/`.

    CVAT cannot store empty masks. A label without a mask therefore means that the class is absent, and photos
    in which a class is unknown are left out.

    Args:
        folder: A new folder.
        photos: The photos with their masks.
        classes: The classes to write as labels.

    Raises:
        ConfigError: A class name has characters that XML cannot contain.
    """
    wrong = next((name for name in classes if _NOT_IN_XML.search(name)), None)
    if wrong is not None:
        raise ConfigError(f"XML cannot contain the class name {wrong!r}; rename the class")
    target = LabelFolder(folder, classes)
    files: dict[str | None, IO[str]] = {}
    numbers: Counter[str | None] = Counter()
    labels = "".join(f"<label><name>{escape(name)}</name><type>mask</type></label>" for name in classes)
    with ExitStack() as stack:
        for photo in target.take(photos, all_known=True):
            if photo.split not in files:
                path = target.add(f"{photo.split}.xml")
                files[photo.split] = stack.enter_context(path.open("w", encoding="utf-8"))
                files[photo.split].write(_HEAD.format(labels=labels))
            files[photo.split].write(_image(numbers[photo.split], photo))
            numbers[photo.split] += 1
        for stream in files.values():
            stream.write("</annotations>\n")
    return target.result()


def _image(number: int, photo: MaskedPhoto) -> str:
    """Return the XML element of one photo."""
    place = f"name={_quoted(photo.name)} subset={_quoted(photo.split or '')}"
    lines = [f'  <image id="{number}" {place} width="{photo.width}" height="{photo.height}">\n']
    source = "auto" if photo.model else "manual"
    for name, mask in photo.masks.items():
        if mask is not None:
            runs = encode_box_runs(mask)
            box = f'left="{runs.left}" top="{runs.top}" width="{runs.width}" height="{runs.height}"'
            about = f'label={quoteattr(name)} source="{source}" occluded="0" z_order="0"'
            lines.append(f'    <mask {about} rle="{runs.rle}" {box}/>\n')
    return "".join([*lines, "  </image>\n"])


def _quoted(name: str) -> str:
    """Quote a file name as an XML attribute. Replace characters that XML cannot contain by "_"."""
    return quoteattr(_NOT_IN_XML.sub("_", name))
