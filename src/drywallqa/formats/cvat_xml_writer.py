"""Write CVAT XML 1.1 "for images", with a run-length encoded mask for each class of a photo."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from drywallqa.errors import ConfigError
from drywallqa.formats.annotations import MaskedPhoto, WriteResult
from drywallqa.formats.label_folder import LabelFolder
from drywallqa.formats.rle import encode_box_runs

_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_cvat_xml(folder: Path, photos: Iterable[MaskedPhoto], classes: Sequence[str]) -> WriteResult:
    """Write `annotations.xml`, and copy the photos to `images/SPLIT/`.

    CVAT has no empty masks. A label without a mask is absent, so photos in which a class is unknown are left
    out.

    Args:
        folder: A new folder.
        photos: The photos with their masks.
        classes: The classes, which become labels.

    Raises:
        ConfigError: A class name has characters that XML cannot contain.
    """
    wrong = next((name for name in classes if _NOT_IN_XML.search(name)), None)
    if wrong is not None:
        raise ConfigError(f"XML cannot contain the class name {wrong!r}; rename the class")
    target = LabelFolder(folder, classes)
    with target.add("annotations.xml").open("w", encoding="utf-8") as stream:
        stream.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n')
        labels = "".join(f"<label><name>{escape(name)}</name><type>mask</type></label>" for name in classes)
        stream.write(f"  <meta><task><labels>{labels}</labels></task></meta>\n")
        for number, photo in enumerate(target.take(photos, all_known=True)):
            place = f"name={_quoted(photo.name)} subset={_quoted(photo.split or '')}"
            stream.write(f'  <image id="{number}" {place} width="{photo.width}" height="{photo.height}">\n')
            for name, mask in photo.masks.items():
                if mask is not None:
                    runs = encode_box_runs(mask)
                    box = f'left="{runs.left}" top="{runs.top}" width="{runs.width}" height="{runs.height}"'
                    source = "auto" if photo.model else "manual"
                    stream.write(
                        f'    <mask label={quoteattr(name)} source="{source}" occluded="0" rle="{runs.rle}" '
                        f'{box} z_order="0"/>\n'
                    )
            stream.write("  </image>\n")
        stream.write("</annotations>\n")
    return target.result()


def _quoted(name: str) -> str:
    """Quote a file name as an attribute; characters that XML cannot contain become "_"."""
    return quoteattr(_NOT_IN_XML.sub("_", name))
