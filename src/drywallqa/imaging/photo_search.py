"""Finding photos: files, folders and patterns become a list of photos, each once."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TypeVar

from drywallqa.errors import PhotoError
from drywallqa.imaging.photos import SUFFIXES, check_readable_file, reason_of

AnyPath = TypeVar("AnyPath", bound=PurePath)


@dataclass(frozen=True)
class FoundFiles:
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
        return folder_below(absolute_path(photo.parent), self.base)


def search_photos(
    paths: Iterable[str | os.PathLike[str]],
    *,
    recursive: bool = False,
    leave_out: Iterable[str | os.PathLike[str]] = (),
    made_in: Callable[[Path], Iterable[Path]] = lambda folder: (),
) -> FoundFiles:
    """Find the photos that paths, folders and glob patterns name.

    Of a folder those files count whose name ends like a photo's (hidden ones do not); a file that is named
    itself always counts, whatever its name. A file or folder that links lead to several times is found once,
    by its own name if that is among them; where it is named itself, by the name given.

    Args:
        paths: Files, folders and patterns such as `site/*.jpg` or `site/**/*.jpg`.
        recursive: Whether to look into the folders' folders too.
        leave_out: Files and folders that are passed over where a folder or pattern meets them.
        made_in: Tells which files in and below a folder are results of earlier runs; asked of each folder
            that is looked into, so that a mask is never taken for a photo.
    """
    search = _Search(recursive, {absolute_path(path) for path in leave_out}, made_in)
    for path in paths:
        search.take(Path(path))
    base = common_folder(list(search.folders) or [absolute_path(".")])
    return FoundFiles(tuple(search.photos.values()), base, tuple(search.problems))


def absolute_path(path: str | os.PathLike[str]) -> Path:
    """Make a path absolute and free of `..`, without following links: a link's own name is what counts."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def common_folder(folders: Sequence[AnyPath]) -> AnyPath:
    """Return the innermost folder around absolute ones; of several drives, the first one's counts."""
    base = folders[0]
    for folder in folders:
        if folder.drive.casefold() == base.drive.casefold():
            while not folder.is_relative_to(base):
                base = base.parent
    return base


def folder_below(folder: PurePath, base: PurePath) -> str:
    """Name a folder by its place below another with forward slashes, "" for that one itself.

    A folder that lies elsewhere, as on another drive, is named by its drive and its whole path.
    """
    if folder.is_relative_to(base):
        relative = folder.relative_to(base).as_posix()
        return "" if relative == "." else relative
    parts = [*re.split(r"[\\/:?]+", folder.drive), *folder.parts[1:]]
    return "/".join(part for part in parts if part)


@dataclass
class _Search:
    recursive: bool
    leave_out: set[Path]
    made_in: Callable[[Path], Iterable[Path]]
    photos: dict[Path, Path] = field(default_factory=dict)
    folders: dict[Path, None] = field(default_factory=dict)
    problems: list[PhotoError] = field(default_factory=list)
    asked: set[Path] = field(default_factory=set)
    real: set[str] = field(default_factory=set)

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
            check_readable_file(path)
            self._add(path, path.parent, named=True)
        except PhotoError as problem:
            self.problems.append(problem)

    def _take_pattern(self, pattern: Path) -> bool:
        taken = False
        for match in _own_names_first(set(_written_out(pattern, self._refuse_folder))):
            self._learn(match.parent)
            if absolute_path(match) in self.leave_out:
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
        met: list[Path] = []
        for place, inner, names in os.walk(folder, onerror=self._refuse_folder):
            self._learn(Path(place))
            inner[:] = sorted(name for name in inner if self.recursive and self._wanted(Path(place, name)))
            paths = [Path(place, name) for name in sorted(names)]
            met += [path for path in paths if path.suffix.lower() in SUFFIXES and self._wanted(path)]
        for path in sorted(met, key=Path.is_symlink):
            self._add(path, folder)
        return bool(met) or len(self.problems) > before

    def _learn(self, folder: Path) -> None:
        """Find out what in a folder earlier runs have made."""
        if (place := absolute_path(folder)) not in self.asked:
            self.asked.add(place)
            self.leave_out.update(absolute_path(path) for path in self.made_in(folder))

    def _wanted(self, path: Path) -> bool:
        return not path.name.startswith(".") and absolute_path(path) not in self.leave_out

    def _add(self, photo: Path, folder: Path, *, named: bool = False) -> None:
        place, real = absolute_path(photo), os.path.realpath(photo)
        if place in self.photos or (real in self.real and not named):
            return
        self.real.add(real)
        self.photos[place] = photo
        self.folders.setdefault(absolute_path(folder))

    def _refuse_folder(self, error: OSError) -> None:
        self._refuse(
            error.filename, f"the folder cannot be read ({reason_of(error)})", "change its permissions"
        )

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


def _written_out(pattern: Path, on_error: Callable[[OSError], None]) -> Iterator[Path]:
    """Yield what a pattern fits; `**` stands for each real folder once, however links lead to it."""
    if "**" not in pattern.parts:
        yield from map(Path, glob.glob(str(pattern)))  # noqa: PTH207
        return
    at = pattern.parts.index("**")
    before, behind = Path(*pattern.parts[:at]), Path(*pattern.parts[at + 1 :])
    for top in _written_out(before, on_error) if before.parts else (before,):
        for folder in _folders(top, on_error):
            if behind.parts:
                yield from _written_out(Path(glob.escape(str(folder)), behind), on_error)
            else:
                yield folder


def _folders(top: Path, on_error: Callable[[OSError], None]) -> Iterator[Path]:
    """Yield a folder and those below it, each real one once, and those that links lead to last.

    Hidden ones are passed over, and so are links to a folder around the top, which only lead back.
    """
    if not top.is_dir():
        return
    real_top = Path(os.path.realpath(top))
    seen: set[str] = set()
    plain, links = [top], list[Path]()
    while plain or links:
        folder = plain.pop() if plain else links.pop(0)
        real = os.path.realpath(folder)
        if real in seen or (folder != top and real_top.is_relative_to(real)):
            continue
        seen.add(real)
        yield folder
        try:
            with os.scandir(folder) as entries:
                inner = sorted((one for one in entries if one.is_dir()), key=lambda entry: entry.name)
        except OSError as error:
            on_error(error)
            continue
        for entry in inner:
            if not entry.name.startswith("."):
                (links if entry.is_symlink() else plain).append(folder / entry.name)


def _own_names_first(paths: Iterable[Path]) -> list[Path]:
    """Sort paths, those that go through a link last."""
    return sorted(paths, key=lambda path: (os.path.realpath(path) != str(absolute_path(path)), str(path)))
