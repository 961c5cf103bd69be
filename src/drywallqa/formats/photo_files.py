"""Shared code for formats with one annotation file per photo.

If a file is damaged, only the labels of its photo are unknown. If the photo's name cannot be read from the
file, the labels of the photo with the same stem in the same folder are unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from drywallqa.formats import problems
from drywallqa.formats.annotations import (
    UNKNOWN_CLASS,
    Export,
    PhotoEntry,
    ReadOptions,
    Shape,
    relative_name,
    split_of,
)
from drywallqa.formats.geometry import Geometry, GeometryError
from drywallqa.formats.photo_index import PhotoIndex, PhotoName
from drywallqa.formats.problems import Problem
from drywallqa.formats.values import size_of


@dataclass(eq=False)
class PhotoFile:
    """The annotation file of one photo.

    Attributes:
        root: The export's folder.
        path: The annotation file.
        photo: The photo's name according to the file, or None if the file does not name a photo.
        size: The photo's height and width in px, if the file declares them.
        shapes: The shapes that could be read.
        lost: Classes of shapes that could not be read.
        tags: Tags of the whole photo. If a tag names a class, the photo may show this class.
        problems: Problems found so far.
        unreadable: Whether the whole file is damaged.
        without_photo: Advice that is reported if the photo is missing, in addition to the usual report.
    """

    root: Path
    path: Path
    photo: PhotoName | None = None
    size: tuple[int, int] | None = None
    shapes: list[Shape] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    tags: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    unreadable: bool = False
    without_photo: str = ""

    @property
    def name(self) -> str:
        """The file's name relative to the export's root."""
        return relative_name(self.path, self.root)

    def name_photo(self, name: object, *folders: Path) -> None:
        """Set the photo's name and the folders to search. An empty or non-string name is ignored."""
        if isinstance(name, str) and name.strip():
            self.photo = PhotoName(name.strip(), folders, self.name, "")

    def read_size(self, height: object, width: object) -> None:
        """Set the photo's size. Report a size that cannot be read."""
        self.size = size_of(height, width)
        self.problems += problems.unread_size(height, width, self.name, "")

    def lose(self, label: str, kind: str, where: str, text: str) -> None:
        """Report a shape that could not be read. An empty label means that its class is unknown."""
        self.lost.add(label or UNKNOWN_CLASS)
        self.problems.append(Problem(kind, self.name, where, text))

    def add(self, label: str, where: str, read: Callable[[], Geometry]) -> None:
        """Add a shape, or report why it cannot be read."""
        try:
            if not label:
                raise GeometryError(problems.WRONG_ID, "has no label; dropped")
            self.shapes.append(Shape(label, read(), self.name, where))
        except GeometryError as error:
            self.lose(label, error.kind, where, str(error))

    def damaged(self, error: Exception) -> None:
        """Report that the whole file cannot be read."""
        self.unreadable = True
        text = str(error).removeprefix(f"{self.path}: ")
        self.lose(UNKNOWN_CLASS, problems.UNREADABLE, "", f"{text}; its photo counts as unlabelled")

    def entries(
        self, path: Path | None, declared: frozenset[str], photos: Sequence[Path], split: str | None
    ) -> list[PhotoEntry]:
        """Return the entry of the file's photo.

        If the photo was not found, the labels of photos with the same stem in the file's folder are unknown.

        Args:
            path: The photo, if it was found.
            declared: The classes that the annotator could choose.
            photos: All photos of the export.
            split: The photo's split, if a list names it.
        """
        if path:
            split = split or split_of(self.path, self.root) or split_of(path, self.root)
            marked = {shape.class_name for shape in self.shapes} | self.lost
            stated = self.tags & declared - marked
            self.problems += [problems.only_named(name, "tag", self.name, "") for name in sorted(stated)]
            lost = frozenset(self.lost)
            return [
                PhotoEntry(path, split, tuple(self.shapes), declared - stated, lost, self.size, self.name)
            ]
        if self.photo is None and not self.unreadable:
            text = f"names no photo; its {len(self.shapes)} labels are dropped"
            self.problems.append(Problem(problems.MALFORMED, self.name, "", text))
        elif self.without_photo:
            self.problems.append(Problem(problems.MISSING_PHOTO, self.name, "", self.without_photo))
        stems = {self.path.with_suffix(""), self.path.with_suffix("").with_suffix("")}
        beside = [photo for photo in photos if photo.with_suffix("") in stems]
        unknown = frozenset({UNKNOWN_CLASS})
        return [
            PhotoEntry(photo, split_of(photo, self.root), lost=unknown, source=self.name) for photo in beside
        ]


def combine(
    layout: str,
    root: Path,
    options: ReadOptions,
    files: Sequence[PhotoFile],
    declared: Callable[[PhotoFile, frozenset[str]], frozenset[str]],
    listed: Collection[str],
    others: Collection[Path],
    splits: Mapping[str, str | None] | None = None,
) -> Export:
    """Combine the annotation files of one export into an `Export`.

    Args:
        layout: The format's name.
        root: The export's folder.
        options: The read options, which can name an additional folder of photos.
        files: The annotation files.
        declared: Function that returns the classes that the annotator of a file could choose. Its second
            argument is the set of all classes in the export.
        listed: Classes in the export's class lists.
        others: Other files of the format, such as lists of classes.
        splits: Stem of an annotation file → split of its photo.
    """
    named = [(file, file.photo) for file in files if file.photo]
    index = PhotoIndex(root, options.photos)
    found = index.find([photo for _, photo in named])
    paths = {file: path for (file, _), path in zip(named, found, strict=True)}
    used = {shape.class_name for file in files for shape in file.shapes}.union(*(file.lost for file in files))
    classes = frozenset({*used, *listed}) - {UNKNOWN_CLASS}
    entries = [
        entry
        for file in files
        for entry in file.entries(
            paths.get(file), declared(file, classes), index.photos, (splits or {}).get(file.path.stem)
        )
    ]
    return Export(
        root,
        layout,
        tuple(entries),
        (*(problem for file in files for problem in file.problems), *index.problems),
        tuple(sorted(classes)),
        frozenset({*(file.path for file in files), *others}),
    )
