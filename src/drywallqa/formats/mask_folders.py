"""Read mask files: Roboflow semantic masks, CVAT and VOC segmentation masks, and folders of plain masks.

Plain masks are in masks/, with photos in images/, or next to the photos with the suffix "_mask".
`mask_layouts` finds the files, `mask_tables` reads the tables of classes, and `mask_meaning` decides the
meaning of the values.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from drywallqa.formats import problems
from drywallqa.formats.annotations import (
    UNKNOWN_CLASS,
    Export,
    PhotoEntry,
    ReadOptions,
    Shape,
    list_photos,
    relative_name,
    split_of,
    split_word,
)
from drywallqa.formats.geometry import Layer
from drywallqa.formats.mask_layouts import FoundMask, find_masks
from drywallqa.formats.mask_meaning import MaskGroup, MaskMeaning, decide_meanings, known_values
from drywallqa.formats.mask_pixels import MaskFile, survey_mask
from drywallqa.formats.mask_tables import CVAT_TABLE, ROBOFLOW_TABLE, read_class_table
from drywallqa.formats.pixel_values import describe_value
from drywallqa.formats.problems import Problem


def find_mask_files(root: Path) -> set[Path]:
    """List the mask files, class tables and photo lists in all supported layouts."""
    masks = {mask.path for mask in find_masks(root)[0]}
    return masks | _companions(root) if masks else set()


def _companions(root: Path) -> set[Path]:
    """List the class tables, the photo lists, and the instance masks, which do not show classes."""
    tables = {path for name in (ROBOFLOW_TABLE, CVAT_TABLE) for path in root.rglob(name)}
    folders = {table.parent for table in tables} | {path.parent for path in root.rglob("SegmentationClass")}
    lists = {path for folder in folders for path in (folder / "ImageSets").rglob("*.txt")}
    objects = {path for folder in folders for path in list_photos(folder / "SegmentationObject")}
    return tables | lists | objects


def read_mask_folders(root: Path, options: ReadOptions) -> Export:
    """Read folders of mask files.

    Args:
        root: The export's folder.
        options: The options, with the meaning of values and whether masks are inverted.

    Raises:
        DataError: A table of classes cannot be read, or the meaning of the masks is ambiguous.
    """
    masks, found = find_masks(root)
    groups = _groups(masks, root)
    surveyed = _survey(masks, groups, options, root, found)
    meanings, notes = decide_meanings(list(groups.values()), options, root)
    by_group = dict(zip(groups, meanings, strict=True))
    splits = _listed_splits(root)
    entries = []
    for mask in masks:
        entry = _entry(mask, surveyed.get(mask.path), by_group[_group_key(mask)], root, found)
        for photo in mask.photos:
            split = splits.get(photo) or split_of(photo, root)
            entries.append(replace(entry, path=photo, split=split))
    classes = sorted({name for meaning in meanings for name in meaning.classes})
    files = frozenset({*(mask.path for mask in masks), *_companions(root)})
    return Export(root, "masks", tuple(entries), (*found, *notes), tuple(classes), files)


def _group_key(mask: FoundMask) -> str:
    return str(mask.table or mask.class_name)


def _groups(masks: Collection[FoundMask], root: Path) -> dict[str, MaskGroup]:
    """Create a group for each class table or class. A value has the same meaning in all files of a group."""
    tables = {
        path: read_class_table(path) for name in (ROBOFLOW_TABLE, CVAT_TABLE) for path in root.rglob(name)
    }
    groups: dict[str, MaskGroup] = {}
    for mask in masks:
        table = tables[mask.table] if mask.table else None
        name = relative_name(mask.table, root) if mask.table else mask.class_name
        groups.setdefault(_group_key(mask), MaskGroup(name, table=table))
    return groups


def _survey(
    masks: Collection[FoundMask],
    groups: dict[str, MaskGroup],
    options: ReadOptions,
    root: Path,
    found: list[Problem],
) -> dict[Path, MaskFile]:
    """Count the pixels of each value in each mask file, and add the files to their groups."""
    known = known_values(options)
    surveyed: dict[Path, MaskFile] = {}
    for mask in masks:
        group = groups[_group_key(mask)]
        try:
            file = survey_mask(mask.path, known, None if group.table is None else group.table.values)
        except (OSError, ValueError) as error:
            text = f"the mask file cannot be read ({error}); its classes are unknown in this photo"
            found.append(Problem(problems.UNREADABLE, relative_name(mask.path, root), "", text))
            continue
        surveyed[mask.path] = file
        group.files.append(file)
    return surveyed


def _listed_splits(root: Path) -> dict[Path, str | None]:
    """Read the splits of photos from the photo lists of CVAT and VOC exports (ImageSets/Segmentation)."""
    splits: dict[Path, str | None] = {}
    for listing in sorted(root.rglob("ImageSets/Segmentation/*.txt")):
        folder = listing.parents[2] / "JPEGImages"
        names = {line.strip() for line in listing.read_text("utf-8-sig", "replace").splitlines()}
        for photo in list_photos(folder):
            if photo.relative_to(folder).with_suffix("").as_posix() in names:
                splits[photo] = split_word(listing.stem)
    return splits


def _entry(
    mask: FoundMask, file: MaskFile | None, meaning: MaskMeaning, root: Path, found: list[Problem]
) -> PhotoEntry:
    """Return the labels in a mask file. They are unknown if the file's name matches several photos."""
    name = relative_name(mask.path, root)
    nothing = PhotoEntry(mask.path, None, lost=frozenset(meaning.classes), source=name)
    if not mask.photos:
        found.append(Problem(problems.MISSING_PHOTO, name, "", "the mask has no photo; skipped"))
    if len(mask.photos) > 1:
        listed = " and ".join(relative_name(photo, root) for photo in mask.photos)
        text = f"may belong to {listed}; its classes are unknown in these photos"
        found.append(Problem(problems.CONFLICT, name, "", text))
    if file is None or len(mask.photos) != 1:
        return nothing
    stray = sorted(describe_value(value) for value in meaning.stray & set(file.counts))
    if stray:
        text = (
            f"the values {', '.join(stray[:5])} do not belong to a class; their pixels are dropped; pass "
            f'--value "{stray[0]}=CLASS" to give them a meaning'
        )
        found.append(Problem(problems.WRONG_ID, name, f"value {stray[0]}", text))
    shapes = tuple(
        Shape(class_name, Layer(file.path, values, file.levels, file.view), name, f"class {class_name}")
        for class_name, values in meaning.classes.items()
        if values & set(file.counts)
    )
    ignored = Layer(file.path, meaning.ignored, file.levels, file.view)
    return replace(
        nothing,
        shapes=shapes,
        declared=frozenset(meaning.classes),
        lost=frozenset({UNKNOWN_CLASS} if stray else ()),
        declared_size=file.size,
        same_size=True,
        ignored=ignored if meaning.ignored & set(file.counts) else None,
    )
