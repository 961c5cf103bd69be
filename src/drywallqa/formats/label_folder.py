"""Copy photos to a new export under safe names, and skip photos whose labels its format cannot express."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from drywallqa.formats import problems
from drywallqa.formats.annotations import MaskedPhoto, WriteResult, split_word
from drywallqa.formats.photo_index import spelling_key
from drywallqa.formats.problems import Problem
from drywallqa.imaging.mask_files import free_name, safe_stem
from drywallqa.imaging.photos import is_turned

NO_SPLIT = "default"
"""Folder of the photos without a split. CVAT uses the same name."""

IMAGES = "images"

# Names that have a special meaning for export readers.
_SPECIAL_FOLDERS = frozenset({"images", "labels", "masks", "mask", "annotations", "gt"})
_SPECIAL_FILES = frozenset({"classes", "notes", "obj", "data", "readme"})


class LabelFolder:
    """The folder of a new export, with the photos in `images/SPLIT/`.

    Attributes:
        folder: Path of the folder. It must exist and be empty.
        classes: The classes of the export.
        problems: Problems found so far.
    """

    def __init__(self, folder: Path, classes: Sequence[str]) -> None:
        self.folder = folder
        self.classes = tuple(classes)
        self.problems: list[Problem] = []
        self._files: list[Path] = []
        self._names: set[str] = set()
        self._turned: list[str] = []

    def take(self, photos: Iterable[MaskedPhoto], *, all_known: bool) -> Iterator[MaskedPhoto]:
        """Copy each photo, and yield it with its name and split in this export.

        Each yielded photo has only the masks of the export's classes. An empty mask becomes None (absent).

        Args:
            photos: The photos. The masks of a photo can be freed once the next photo is requested.
            all_known: Whether to leave out photos in which a class is unknown. Otherwise, only photos without
                any known class are left out.
        """
        for photo in photos:
            known = [name for name in self.classes if name in photo.masks]
            if len(known) < (len(self.classes) if all_known else 1):
                self._leave_out(photo, known)
                continue
            masks = {name: photo.masks[name] for name in known}
            masks = {name: mask if mask is not None and mask.any() else None for name, mask in masks.items()}
            placed = replace(
                photo, name=self._unique_name(photo), split=safe_stem(photo.split or NO_SPLIT), masks=masks
            )
            if photo.path:
                shutil.copyfile(photo.path, self.add(f"{IMAGES}/{self.path_of(placed)}"))
                self._turned += [photo.name] if is_turned(photo.path) else []
            yield placed

    def path_of(self, photo: MaskedPhoto) -> str:
        """Return a photo's path below the images folder, or its name if the photo was not copied."""
        return photo.name if photo.path is None else f"{photo.split}/{photo.name}"

    def add(self, name: str) -> Path:
        """Return the path of a new file, and create its folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._files.append(path)
        return path

    def note(self, kind: str, text: str) -> None:
        """Report a problem about the whole export."""
        self.problems.append(Problem(kind, "", "", text))

    def result(self) -> WriteResult:
        """Return the written files and the problems."""
        if self._turned:
            text = (
                f"EXIF turns {len(self._turned)} photos (such as {self._turned[0]}); the labels refer to the "
                "picture as a viewer shows it"
            )
            self.note(problems.TURNED, text)
        return WriteResult(tuple(self._files), tuple(self.problems))

    def _leave_out(self, photo: MaskedPhoto, known: Sequence[str]) -> None:
        text = "no class is known in this photo"
        if known:
            listed = ", ".join(f"'{name}'" for name in self.classes if name not in known)
            text = (
                f"the photo has no label for {listed}, but the file would declare it absent; export the "
                "other classes, or use the format coco"
            )
        self.problems.append(Problem(problems.LEFT_OUT, photo.name, "", text))

    def _unique_name(self, photo: MaskedPhoto) -> str:
        """Return a name that every operating system allows, with a stem that no other photo has."""
        *folders, last = PurePosixPath(photo.name).parts or ("photo",)
        suffix = re.fullmatch(r".*?(\.[A-Za-z0-9]+)?", last, re.DOTALL)
        suffix_text = (suffix and suffix[1]) or ""
        stem = _safe_part(last.removesuffix(suffix_text), _SPECIAL_FILES)
        path = [_safe_part(part, _SPECIAL_FOLDERS) for part in folders if part not in ("/", "..")]
        split = photo.split or NO_SPLIT
        place = free_name(
            "/".join([*path, stem]), lambda name: spelling_key(f"{split}/{name}") not in self._names
        )
        self._names.add(spelling_key(f"{split}/{place}"))
        if place + suffix_text != photo.name:
            text = f"is called {place}{suffix_text} in the export"
            self.problems.append(Problem(problems.SIMILAR_NAME, photo.name, "", text))
        return place + suffix_text


def visible_name(name: str) -> str:
    """Convert a name to one that every operating system allows and that export readers do not skip."""
    safe = safe_stem(name)
    return f"_{safe}" if safe.startswith((".", "__MACOSX")) else safe


def _safe_part(part: str, special: frozenset[str]) -> str:
    """Convert a name to a visible file or folder name without a special meaning for export readers."""
    safe = visible_name(part)
    has_meaning = safe.lower() in special or split_word(safe) or safe.lower().endswith("_mask")
    return f"{safe}_" if has_meaning else safe
