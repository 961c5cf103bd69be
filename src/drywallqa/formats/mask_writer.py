"""Write photos and mask files in the folder layout of the original report, which `mask_folders` reads.

Layout::

    images/[SPLIT/]NAME            the photos
    masks/CLASS/[SPLIT/]STEM.png   {0, 255}, one file for each class that is known in the photo
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from drywallqa.errors import OutputError
from drywallqa.formats import problems
from drywallqa.formats.annotations import MaskedPhoto, WriteResult, split_word
from drywallqa.formats.label_folder import IMAGES, visible_name
from drywallqa.formats.mask_layouts import MASK_SUFFIX
from drywallqa.formats.photo_index import spelling_key
from drywallqa.formats.problems import Problem
from drywallqa.imaging.mask_files import free_name, write_mask_file

_MASKS = "masks"


def write_mask_folders(folder: Path, photos: Iterable[MaskedPhoto], classes: Sequence[str]) -> WriteResult:
    """Write photos and one mask file for each photo and known class.

    An absent class gets a blank mask, and an unknown class gets no file.

    Args:
        folder: A new folder.
        photos: The photos with their masks. The writer reads them one by one.
        classes: The classes to write.

    Returns:
        The written files, and a note for each photo or class whose name had to change.

    Raises:
        OutputError: A file cannot be written.
    """
    writer = _MaskWriter(folder, classes)
    for photo in photos:
        writer.write(photo)
    return WriteResult(tuple(writer.files), tuple(writer.problems))


class _MaskWriter:
    """Writes the files, and remembers which names are in use."""

    def __init__(self, folder: Path, classes: Sequence[str]) -> None:
        self.folder = folder
        self.files: list[Path] = []
        self.problems: list[Problem] = []
        self._used: set[str] = set()
        self._class_folders: dict[str, str] = {}
        for name in classes:
            self._class_folders[name] = self._class_folder(name)

    def _class_folder(self, name: str) -> str:
        """Return a folder name for a class. It differs from all other class folders and all split names."""
        bare = _safe_part(name)
        start = f"{bare}-class" if split_word(bare) else bare
        taken = {folder.casefold() for folder in self._class_folders.values()}
        folder = free_name(start, lambda candidate: candidate.casefold() not in taken)
        self._note(name, folder, f"the class '{name}' is written as the folder {folder}")
        return folder

    def _note(self, before: str, after: str, text: str) -> None:
        if before != after:
            self.problems.append(Problem(problems.SIMILAR_NAME, after, "", text))

    def write(self, photo: MaskedPhoto) -> None:
        place = self._place(photo)
        try:
            if photo.path:
                target = self.folder / IMAGES / place
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(photo.path, target)
                self.files.append(target)
        except OSError as error:
            raise OutputError(f"{photo.path}: cannot be copied to {self.folder} ({error})") from error
        for name, folder in self._class_folders.items():
            if name not in photo.masks:
                continue
            mask = photo.masks[name]
            target = self.folder / _MASKS / folder / place.with_suffix(".png")
            target.parent.mkdir(parents=True, exist_ok=True)
            write_mask_file(target, np.zeros((photo.height, photo.width), np.bool_) if mask is None else mask)
            self.files.append(target)

    def _place(self, photo: MaskedPhoto) -> PurePosixPath:
        """Return a photo's path below images/, chosen so that the names of its masks match no other photo."""
        given = PurePosixPath(photo.name)
        parts = [photo.split] if photo.split and split_word(photo.split) else []
        parts += [self._photo_folder(part) for part in given.parent.parts if part not in ("/", "..")]
        inside = "".join(f"{part}/" for part in parts)
        stem = _safe_part(given.stem)
        start = f"{stem}-photo" if stem.endswith(MASK_SUFFIX) else stem
        stem = free_name(start, lambda candidate: not self._used & _keys(inside + candidate, given.suffix))
        self._used |= _keys(inside + stem, given.suffix)
        name = f"{stem}{given.suffix}"
        self._note(given.name, name, f"the photo {photo.name} is written as {inside}{name}")
        if photo.split and not split_word(photo.split):
            text = f"the split '{photo.split}' cannot be written; the photo is in no split"
            self.problems.append(Problem(problems.TWO_SPLITS, photo.name, "", text))
        return PurePosixPath(inside + name)

    def _photo_folder(self, name: str) -> str:
        """Return a folder name that is neither a split name nor the folder name of a class."""
        safe = _safe_part(name)
        classes = {spelling_key(folder) for folder in self._class_folders.values()}
        return f"{safe}-photos" if split_word(safe) or spelling_key(safe) in classes else safe


def _keys(stem: str, suffix: str) -> set[str]:
    return {spelling_key(stem), spelling_key(stem + suffix)}


def _safe_part(name: str) -> str:
    """Return a valid file or folder name without surrounding spaces and trailing dots."""
    return visible_name(name.strip().rstrip("."))
