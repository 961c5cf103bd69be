"""Find the mask files of an export, their classes, and the photos that match their names."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from drywallqa.formats import problems
from drywallqa.formats.annotations import list_photos, relative_name, split_word
from drywallqa.formats.mask_tables import CVAT_TABLE, ROBOFLOW_TABLE
from drywallqa.formats.photo_index import spelling_key
from drywallqa.formats.problems import Problem

ONLY_CLASS = "mask"
"""The class of plain masks that are not in a folder named after a class."""

_PHOTO_FOLDERS = frozenset({"images", "image", "imgs", "img", "photos", "jpegimages"})
_OTHER_LABELS = frozenset({"labels", "annotations", "gt", "groundtruth", "ground_truth"})
_MASK_FOLDERS = _OTHER_LABELS | {"masks", "mask", "segmentationclass"}
_NAMED_MASKS = re.compile(r"(?:(.+)[ _-])?masks?(?:[ _-](.+))?")
_WITH_TABLE = "segmentationclass"
MASK_SUFFIX = "_mask"
"""The end of the file name of a mask that lies beside its photo."""


@dataclass(frozen=True)
class FoundMask:
    """A mask file of an export.

    Attributes:
        path: Path of the file.
        class_name: The class of the foreground. A class table or the user's pixel value options take
            precedence.
        photos: The photos that match the file's name. The mask is used only if exactly one photo matches.
        table: The table that maps pixel values to classes, if there is one.
    """

    path: Path
    class_name: str
    photos: tuple[Path, ...]
    table: Path | None = None


def find_masks(root: Path) -> tuple[list[FoundMask], list[Problem]]:
    """Find the mask files of an export.

    Returns:
        The mask files, and a note for each mask file whose name is spelled differently from its photo's name.
    """
    found: dict[Path, FoundMask] = {}
    notes: list[Problem] = []
    folders: dict[Path, list[Path]] = defaultdict(list)
    for path in list_photos(root):
        folders[path.parent].append(path)
    mask_folders = sorted({top for folder in folders if (top := mask_folder(folder, root))})
    for folder in mask_folders:
        photos = _photos_of(folder)
        table = folder.parent / CVAT_TABLE
        named = table if folder.name.lower() == _WITH_TABLE and table.is_file() else None
        by_class: dict[str, dict[Path, str]] = defaultdict(dict)
        certain = bool(photos) or folder.name.lower() not in _OTHER_LABELS
        for mask in list_photos(folder) if certain else ():
            name, keys = _class_and_keys(mask, folder, set(photos.values()), with_class=named is None)
            by_class[name][mask] = keys[0]
            if len(keys) > 1:
                fitting = tuple(photo for photo, key in photos.items() if key in keys)
                found[mask] = FoundMask(mask, name, fitting, named)
        for name, named_masks in by_class.items():
            for mask, fitting in _pair(named_masks, photos, root, notes).items():
                found.setdefault(mask, FoundMask(mask, name, fitting, named))
    for folder, paths in folders.items():
        if mask_folder(folder, root) is None:
            for each in _beside(folder, paths, root, notes):
                found.setdefault(each.path, each)
    return list(found.values()), notes


def mask_folder(folder: Path, root: Path) -> Path | None:
    """Return the outermost mask folder among a folder and the folders above it, or None."""
    in_photos = False
    for each in reversed([folder, *folder.parents][: len(folder.relative_to(root).parts)]):
        name = each.name.lower()
        if name in _MASK_FOLDERS or (not in_photos and _NAMED_MASKS.fullmatch(name)):
            return each
        in_photos |= name in _PHOTO_FOLDERS
    return None


def _belong(photos: Path, masks: Path) -> bool:
    """Check by name whether a folder contains the photos for a mask folder, such as wall/ for wall_masks/."""
    name, found = photos.name.lower(), _NAMED_MASKS.fullmatch(masks.name.lower())
    words = [word for word in found.groups() if word] if found else []
    others = {f"{word}{mark}{images}" for word in words for mark in "_- " for images in _PHOTO_FOLDERS}
    return name in others | set(words) | _PHOTO_FOLDERS


def _photos_of(folder: Path) -> dict[Path, str]:
    """Map the photos that belong to a mask folder to their keys. A key is a path without its suffix."""
    beside = sorted(path for path in folder.parent.iterdir() if path.is_dir())
    found = {
        photo: photo.relative_to(other).with_suffix("").as_posix()
        for other in beside
        if _belong(other, folder)
        for photo in _without_masks(list_photos(other))
    }
    above = [path for path in list_photos(folder.parent) if path.parent == folder.parent]
    return found or {photo: photo.stem for photo in _without_masks(above)}


def _without_masks(paths: Sequence[Path]) -> list[Path]:
    """Leave out masks that lie beside their photo. Their names are the photo's name plus "_mask"."""
    stems = {path.with_suffix("") for path in paths}
    return [
        path
        for path in paths
        if path.stem.removesuffix(MASK_SUFFIX) == path.stem
        or path.with_name(path.stem.removesuffix(MASK_SUFFIX)) not in stems
    ]


def _class_and_keys(
    mask: Path, folder: Path, keys: set[str], *, with_class: bool
) -> tuple[str, tuple[str, ...]]:
    """Infer a mask's class and its photo's key from the path [SPLIT/][CLASS/][SPLIT/]NAME.

    The first folder does not name a class if a photo is in a folder of the same name. If photos match the
    path both with and without this folder, both keys are returned.
    """
    parts = list(mask.relative_to(folder).with_suffix("").parts)
    classes = [part for part in parts[:-1] if not split_word(part)]
    whole = "/".join(parts)
    if not with_class or not classes:
        return ONLY_CLASS, (whole,)
    parts.remove(classes[0])
    fitting = [
        key for key in (whole, "/".join(parts)) if not keys.isdisjoint((key, key.removesuffix(MASK_SUFFIX)))
    ]
    if fitting == [whole]:
        return ONLY_CLASS, (whole,)
    return classes[0], tuple(fitting) or ("/".join(parts),)


def _beside(folder: Path, paths: Sequence[Path], root: Path, notes: list[Problem]) -> list[FoundMask]:
    """Find the masks in a photo folder, which have names that end with "_mask"."""
    table = folder / ROBOFLOW_TABLE
    masks = {path: path.stem for path in paths if path.stem.endswith(MASK_SUFFIX)}
    photos = {path: path.stem for path in paths if path not in masks}
    paired = _pair(masks, photos, root, notes) if masks else {}
    if not table.is_file() and not any(paired.values()):
        return []
    return [
        FoundMask(mask, ONLY_CLASS, fitting, table if table.is_file() else None)
        for mask, fitting in paired.items()
    ]


def _pair(
    masks: Mapping[Path, str], photos: Mapping[Path, str], root: Path, notes: list[Problem]
) -> dict[Path, tuple[Path, ...]]:
    """Find the photos that match each mask's key exactly, in another spelling, or only by file name.

    A match by file name counts only if the mask is not in a subfolder and no other mask matches the photo
    better.
    """
    exact, similar, by_name = (defaultdict[str, list[Path]](list) for _ in range(3))
    for photo, key in photos.items():
        for name in (key, key + photo.suffix):
            exact[name].append(photo)
            similar[spelling_key(name)].append(photo)
        by_name[spelling_key(photo.stem)].append(photo)
    found: dict[Path, tuple[Path, ...]] = {}
    for mask, key in masks.items():
        keys = list(dict.fromkeys((key, key.removesuffix(MASK_SUFFIX))))
        fitting = next((exact[each] for each in keys if each in exact), [])
        if not fitting:
            fitting = next((similar[name] for each in keys if (name := spelling_key(each)) in similar), [])
            notes += _spelling_notes(mask, keys, fitting, photos, root)
        found[mask] = tuple(fitting)
    claimed = Counter(photo for fitting in found.values() for photo in fitting)
    for mask, key in masks.items():
        if not found[mask] and "/" not in key:
            names = [spelling_key(each) for each in (key, key.removesuffix(MASK_SUFFIX))]
            loose = next((by_name[name] for name in names if name in by_name), [])
            found[mask] = tuple(photo for photo in loose if not claimed[photo])
    return found


def _spelling_notes(
    mask: Path, keys: Sequence[str], fitting: Sequence[Path], photos: Mapping[Path, str], root: Path
) -> list[Problem]:
    """Report a mask whose name differs from its photo's name in case.

    Names that differ only in percent escapes or Unicode form are not reported.
    """
    plain = {unicodedata.normalize("NFC", unquote(key)) for key in keys}
    if len(fitting) != 1:
        return []
    photo = fitting[0]
    names = (photos[photo], photos[photo] + photo.suffix)
    if plain & {unicodedata.normalize("NFC", unquote(name)) for name in names}:
        return []
    text = f"was used as a mask of {relative_name(photo, root)}"
    return [Problem(problems.SIMILAR_NAME, relative_name(mask, root), "", text)]
