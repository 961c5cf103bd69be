"""Find the photos of an export by the names that annotation files give them.

Annotation files name photos in many ways: with folders of another computer, Windows separators, percent
escapes, the query of a URL, or another Unicode form. An exact match of the path is preferred. Otherwise, a
path with a similar spelling matches if there is only one. If the folders of a name are missing from the
export, only the file names are compared. Such a match counts only if no other name matches that photo and no
folder contradicts the name.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from drywallqa.formats import problems
from drywallqa.formats.annotations import list_photos, relative_name, split_word
from drywallqa.formats.problems import Problem

_GENERIC = frozenset(
    {"images", "image", "img", "imgs", "photos", "pictures", "data", "jpegimages", "obj_train_data"}
)
_FOR_LABELS = frozenset({"annotations", "annotation", "labels", "label", "ann", "json", "xml", "coco"})


@dataclass(frozen=True)
class PhotoName:
    """A photo's name in an annotation file.

    Attributes:
        name: The name, possibly with folders.
        folders: Folders to search, in this order.
        file: The annotation file relative to the export's root, for problem reports.
        where: The line or id in the annotation file, for problem reports.
    """

    name: str
    folders: tuple[Path, ...]
    file: str
    where: str

    @property
    def parts(self) -> tuple[str, ...]:
        """The folders and the file name, split at slashes and backslashes."""
        return PurePosixPath(self.name.replace("\\", "/")).parts


class PhotoIndex:
    """The photos of an export.

    Args:
        root: The export's folder.
        elsewhere: A folder with more photos. Their names are relative to this folder.

    Attributes:
        root: The export's folder.
        photos: Paths of all photos below the root, sorted.
        problems: Reports about names without a photo, and about photos with a similar name.
    """

    def __init__(self, root: Path, elsewhere: Path | None = None) -> None:
        self.root = root
        self.photos = list_photos(root)
        self.problems: list[Problem] = []
        self._exact = {
            path.relative_to(folder).as_posix(): path
            for folder in ([elsewhere] if elsewhere else []) + [root]
            for path in list_photos(folder)
        }
        self._similar: dict[str, list[Path]] = defaultdict(list)
        self._by_base: dict[str, list[Path]] = defaultdict(list)
        for name, path in self._exact.items():
            self._similar[spelling_key(name)].append(path)
            self._by_base[spelling_key(path.name)].append(path)

    def find(self, names: Sequence[PhotoName]) -> list[Path | None]:
        """Find the photo of each name, and report names without a photo.

        Args:
            names: All names in the export, because a match by file name must not take another name's photo.

        Returns:
            The path of each name's photo, or None.
        """
        names = self._without_queries(names)
        found = [self._find_in_folders(name) for name in names]
        claimed = {path for path in found if path}
        fallback = [
            None if path else self._by_last_part(name) for name, path in zip(names, found, strict=True)
        ]
        rivals = {(path, spelling_key(name.name)) for path, name in zip(fallback, names, strict=True) if path}
        wanted = Counter(path for path, _ in rivals)
        for place, path in enumerate(fallback):
            if path and path not in claimed and wanted[path] == 1:
                found[place] = path
        for name, path, other in zip(names, found, fallback, strict=True):
            if path is None:
                self._report_missing(name, other)
        return found

    def _without_queries(self, names: Sequence[PhotoName]) -> list[PhotoName]:
        """Remove the query or fragment of a URL, unless a photo or several other names could be meant."""
        plain = {name.name: re.split(r"[?#]", name.name)[0] for name in names}
        counts = Counter(plain.values())
        return [
            replace(name, name=plain[name.name])
            if counts[plain[name.name]] == 1
            and spelling_key(name.parts[-1] if name.parts else "") not in self._by_base
            else name
            for name in names
        ]

    def _find_in_folders(self, name: PhotoName) -> Path | None:
        inside = [folder for folder in name.folders if folder.is_relative_to(self.root)]
        candidates = [_joined(folder.relative_to(self.root), name.parts) for folder in inside]
        exact = dict.fromkeys(self._exact[each] for each in candidates if each in self._exact)
        if exact:
            beside = candidates[0] in self._exact  # the first folder wins; other folders must not compete
            return next(iter(exact)) if beside or len(exact) == 1 else None
        for candidate in filter(None, candidates):
            if len(paths := self._similar.get(spelling_key(candidate), [])) == 1:
                return self._taken_as(name, paths[0])
        return None

    def _taken_as(self, name: PhotoName, path: Path) -> Path:
        """Report a match if the names differ in case. Other differences in spelling are not reported."""
        if not is_same_name(unquote(name.name).replace("\\", "/").rsplit("/", 1)[-1], path.name):
            text = f"{name.name} was matched to {relative_name(path, self.root)}"
            self.problems.append(Problem(problems.SIMILAR_NAME, name.file, name.where, text))
        return path

    def _by_last_part(self, name: PhotoName) -> Path | None:
        """Return the only photo with this file name, if its folders fit the name and the annotation file."""
        paths = self._by_base.get(spelling_key(name.parts[-1]), []) if name.parts else []
        given = {spelling_key(part) for part in name.parts[:-1]}
        own = PurePosixPath(name.file).parts[:-1]
        fitting = [
            path
            for path in paths
            if not _contradict(given, folders := self._folders_of(path))
            and not _lie_apart(own, [part for part in folders if spelling_key(part) not in given])
        ]
        return fitting[0] if len(fitting) == 1 and len(paths) == 1 else None

    def _folders_of(self, path: Path) -> tuple[str, ...]:
        """Return the folders between the export's folder and a photo, or none for a photo elsewhere."""
        return path.relative_to(self.root).parts[:-1] if path.is_relative_to(self.root) else ()

    def _report_missing(self, name: PhotoName, other: Path | None) -> None:
        named = self._by_base.get(spelling_key(name.parts[-1]), []) if name.parts else []
        listed = " and ".join(relative_name(path, self.root) for path in ([other] if other else named[:2]))
        remark = f" ({listed} may be another photo with this name)" if listed else ""
        text = f"{name.name} is not in the export{remark}; skipped"
        self.problems.append(Problem(problems.MISSING_PHOTO, name.file, name.where, text))


def _joined(folder: Path, parts: Iterable[str]) -> str | None:
    """Join a folder and a name. Return None if the path leads outside the export."""
    path = os.path.normpath(folder.joinpath(*parts)).replace(os.sep, "/")
    return None if path.startswith(("..", "/")) else path


def spelling_key(name: str) -> str:
    """Normalise a name's Unicode form, percent escapes, separators and case for comparisons."""
    return unicodedata.normalize("NFC", unquote(name.replace("\\", "/"))).casefold()


def is_same_name(one: str, other: str) -> bool:
    """Whether two names are equal except for their Unicode form and percent escapes."""
    return unicodedata.normalize("NFC", unquote(one)) == unicodedata.normalize("NFC", unquote(other))


def _contradict(given: set[str], folders: Sequence[str]) -> bool:
    """Check whether a photo lies in a different split or folder than a name says."""
    if not given:
        return False
    splits = {split_word(part) for part in given} - {None}
    for folder in folders:
        split = split_word(folder)
        if split and splits and split not in splits:
            return True
        if not split and spelling_key(folder) not in given | _GENERIC:
            return True
    return False


def _lie_apart(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether an annotation file's and a photo's folders belong to different splits, sites or videos."""
    apart = [[part for part in each if part not in rest] for each, rest in ((one, other), (other, one))]
    splits = [{split_word(part) for part in each} - {None} for each in apart]
    if splits[0] and splits[1]:
        return splits[0] != splits[1]
    known = _GENERIC | _FOR_LABELS
    return all(
        any(not split_word(part) and spelling_key(part) not in known for part in each) for each in apart
    )
