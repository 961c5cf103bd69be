"""Finding photos: files, folders and patterns become a list of photos, each once."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from drywallqa.errors import PhotoError
from drywallqa.photos import SUFFIXES, check_file, reason


@dataclass(frozen=True)
class Found:
    """What a search for photos met.

    Attributes:
        photos: The photos' paths, each once, in the order of the search.
        base: The folder that the photos' own folders are told from; results mirror what lies between.
        problems: One error for each path that led to no photo.
    """

    photos: tuple[Path, ...]
    base: Path
    problems: tuple[PhotoError, ...] = ()

    def folder_of(self, photo: Path) -> str:
        """Return the photo's folder below `base` with forward slashes, "" where it lies in `base` itself."""
        parent = absolute(photo.parent)
        if parent.drive != self.base.drive:  # two drives share no folder to start from
            return "/".join([parent.drive.strip("\\/:"), *parent.parts[1:]])
        relative = parent.relative_to(self.base).as_posix()
        return "" if relative == "." else relative


def find(
    paths: Iterable[str | os.PathLike[str]],
    *,
    recursive: bool = False,
    leave_out: Iterable[str | os.PathLike[str]] = (),
    made_in: Callable[[Path], Iterable[Path]] = lambda folder: (),
) -> Found:
    """Find the photos that paths, folders and glob patterns name.

    Of a folder those files count whose name ends like a photo's (hidden ones do not); a file that is named
    itself always counts, whatever its name.

    Args:
        paths: Files, folders and patterns such as `site/*.jpg` or `site/**/*.jpg`.
        recursive: Whether to look into the folders' folders too.
        leave_out: Files and folders that are passed over where a folder or pattern meets them.
        made_in: Tells which files in and below a folder are results of earlier runs; asked of each folder
            that is looked into, so that a mask is never taken for a photo.
    """
    search = _Search(recursive, {absolute(path) for path in leave_out}, made_in)
    for path in paths:
        search.take(Path(path))
    return Found(tuple(search.photos.values()), _common(list(search.folders)), tuple(search.problems))


def absolute(path: str | os.PathLike[str]) -> Path:
    """Make a path absolute and free of `..`, without following links: a link's own name is what counts."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _common(folders: list[Path]) -> Path:
    try:
        return Path(os.path.commonpath(folders)) if folders else absolute(".")
    except ValueError:  # different drives
        return folders[0]


@dataclass
class _Search:
    recursive: bool
    leave_out: set[Path]
    made_in: Callable[[Path], Iterable[Path]]
    photos: dict[Path, Path] = field(default_factory=dict)
    folders: dict[Path, None] = field(default_factory=dict)
    problems: list[PhotoError] = field(default_factory=list)
    asked: set[Path] = field(default_factory=set)

    def take(self, path: Path) -> None:
        """Take in what one path names."""
        if _is_folder(path):
            if not self._take_folder(path):
                inside = "" if self.recursive else ", or add --recursive to look into its folders"
                self._refuse(path, "there is no photo in this folder", f"name a folder with photos{inside}")
        elif _is_pattern(path):
            if not self._take_pattern(path):
                self._refuse(path, "no photo fits this pattern", "check the path")
        else:
            self._take_file(path)

    def _take_file(self, path: Path) -> None:
        try:
            check_file(path)
            self._add(path, path.parent)
        except PhotoError as problem:
            self.problems.append(problem)

    def _take_pattern(self, pattern: Path) -> bool:
        taken = False
        for match in map(Path, sorted(glob.glob(str(pattern), recursive=True))):  # noqa: PTH207
            self._learn(match.parent)
            if absolute(match) in self.leave_out:
                continue
            if match.is_dir():
                taken |= self._take_folder(match)
            elif match.suffix.lower() in SUFFIXES:
                self._add(match, match.parent)
                taken = True
        return taken

    def _take_folder(self, folder: Path) -> bool:
        """Take a folder's photos; tell whether there was anything in it, be it a problem."""
        before = len(self.problems)
        taken = False
        for place, inner, names in os.walk(folder, onerror=self._refuse_folder):
            self._learn(Path(place))
            inner[:] = sorted(name for name in inner if self.recursive and self._wanted(Path(place, name)))
            for name in sorted(names):
                path = Path(place, name)
                if path.suffix.lower() in SUFFIXES and self._wanted(path):
                    self._add(path, folder)
                    taken = True
        return taken or len(self.problems) > before

    def _learn(self, folder: Path) -> None:
        """Find out what in a folder earlier runs have made."""
        if (place := absolute(folder)) not in self.asked:
            self.asked.add(place)
            self.leave_out.update(absolute(path) for path in self.made_in(folder))

    def _wanted(self, path: Path) -> bool:
        return not path.name.startswith(".") and absolute(path) not in self.leave_out

    def _add(self, photo: Path, folder: Path) -> None:
        self.photos.setdefault(absolute(photo), photo)
        self.folders.setdefault(absolute(folder))

    def _refuse_folder(self, error: OSError) -> None:
        self._refuse(error.filename, f"the folder cannot be read ({reason(error)})", "change its permissions")

    def _refuse(self, path: str | Path, problem: str, remedy: str) -> None:
        self.problems.append(PhotoError(path, problem, remedy))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name too long or with a zero byte: reading it will say so
        return False


def _is_pattern(path: Path) -> bool:
    try:
        return glob.has_magic(str(path)) and not path.exists()
    except (OSError, ValueError):
        return False
