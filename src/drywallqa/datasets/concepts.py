"""Map the classes of an export to concepts, and read the phrasings of concepts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drywallqa.datasets.photo_labels import PhotoLabels
from drywallqa.errors import ConfigError
from drywallqa.formats.annotations import Export
from drywallqa.formats.text_files import load_lines

IGNORE = "ignore"
"""Concept name in a "CLASS=CONCEPT" option that drops the class."""


@dataclass(frozen=True)
class ConceptMap:
    """A mapping of classes to concepts (None drops a class), and the concepts that no photo shows."""

    by_class: Mapping[str, str | None]
    absent: tuple[str, ...] = ()

    @classmethod
    def parse(cls, options: Sequence[str], absent: Sequence[str], export: Export) -> ConceptMap:
        """Parse "CLASS=CONCEPT" options and check them against the classes of an export.

        Raises:
            ConfigError: An option is invalid or names an unknown class, or a used class has no concept.
        """
        used = export.used_classes()
        known = tuple(dict.fromkeys([*used, *export.declared_classes]))
        by_class: dict[str, str | None] = {}
        for option in options:
            name, concept = _parse(option, known)
            if by_class.get(name, concept) != concept:
                raise ConfigError(
                    f"the class '{name}' is mapped to two concepts; use only one --concept option for it"
                )
            by_class[name] = concept
        missing = [name for name in used if name not in by_class]
        if missing:
            raise ConfigError(_advice(missing, used))
        gone = tuple(dict.fromkeys(normal_concept(name) for name in absent))
        both = set(gone) & set(by_class.values())
        if both:
            raise ConfigError(
                f"'{sorted(map(str, both))[0]}' is both in --concept and in --absent; remove one option"
            )
        result = cls(by_class, gone)
        folders = [folder_name(concept) for concept in result.concepts()]
        if len(set(folders)) != len(folders):
            raise ConfigError(
                f"two concepts would have the same folder name; rename one of: {', '.join(result.concepts())}"
            )
        return result

    def mapped(self) -> tuple[str, ...]:
        """Return the concepts to which at least one class is mapped."""
        return tuple(dict.fromkeys(concept for concept in self.by_class.values() if concept))

    def concepts(self) -> tuple[str, ...]:
        """Return all concepts, including the absent concepts."""
        return (*self.mapped(), *self.absent)

    def classes_of(self, concept: str) -> list[str]:
        """Return the classes that are mapped to a concept."""
        return [name for name, target in self.by_class.items() if target == concept]

    def mask_of(self, concept: str, labels: PhotoLabels) -> tuple[bool, NDArray[np.bool_] | None]:
        """Merge the masks of all classes of a concept in one photo.

        Returns:
            Whether the photo's ground truth for the concept is known, and the concept's mask [H,W]. The mask
            is None if the concept is absent or unknown. A concept is absent only if all its classes are
            absent. It is unknown if entries contradict each other about one of its classes.
        """
        classes = self.classes_of(concept)
        if labels.conflicts & set(classes):
            return False, None
        masks = [mask for name in classes if (mask := labels.masks.get(name)) is not None]
        if masks:
            return True, np.logical_or.reduce(masks)
        return all(name in labels.masks for name in classes), None

    def ignored_of(self, concept: str, labels: PhotoLabels) -> NDArray[np.bool_] | None:
        """Return the pixels [H,W] to ignore for a concept, or None if there are none."""
        found = [labels.ignored[name] for name in self.classes_of(concept) if name in labels.ignored]
        if not found:
            return None
        ignored = np.logical_or.reduce(found)
        mask = self.mask_of(concept, labels)[1]
        ignored = ignored if mask is None else ignored & ~mask
        return ignored if ignored.any() else None

    def incomplete(self, labels: PhotoLabels) -> tuple[str, ...]:
        """Return the concepts that have a mask although one of their annotations in this photo was lost."""
        return tuple(
            concept
            for concept in self.mapped()
            if labels.incomplete & set(self.classes_of(concept))
            and self.mask_of(concept, labels)[1] is not None
        )


def normal_concept(concept: str) -> str:
    """Normalise the name of a concept to lower case and single spaces.

    Raises:
        ConfigError: The normalised name is empty.
    """
    words = " ".join(concept.lower().split())
    if not words or not folder_name(words).strip("_"):
        raise ConfigError(f"'{concept}' is not a valid concept name; use a word such as 'crack'")
    return words


def folder_name(concept: str) -> str:
    """Return the name of the folder that contains the masks of a concept."""
    return re.sub(r"[^A-Za-z0-9-]+", "_", concept)


def _parse(option: str, known: Sequence[str]) -> tuple[str, str | None]:
    # A class name may contain "=", a concept name may not.
    name, equals, concept = option.rpartition("=")
    if not equals or not name.strip():
        raise ConfigError(f"--concept '{option}' is invalid; write CLASS=CONCEPT or CLASS={IGNORE}")
    exact = [other for other in known if other == name]
    loose = [other for other in known if other.strip().lower() == name.strip().lower()]
    found = exact or loose
    if len(found) != 1:
        raise ConfigError(
            f"--concept '{option}': the export has no class '{name}'; its classes are: {_listed(known)}"
        )
    words = normal_concept(concept)
    return found[0], None if words == IGNORE else words


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "none"


def _advice(missing: Sequence[str], used: Sequence[str]) -> str:
    options = " ".join(f'--concept "{name}=CONCEPT"' for name in missing)
    return (
        f"the export has the classes {_listed(used)}, but no concept is given for {_listed(missing)}; "
        f"add {options}; replace CONCEPT by a word such as crack, or by {IGNORE} to drop the class"
    )


def read_phrasings(path: Path) -> dict[str | None, tuple[str, ...]]:
    """Read phrasings from a text file with one phrasing per line, below headings such as [crack].

    Example::

        [crack]
        hairline fissure in the plaster
        [taping area]
        joint between two boards
        [seam|joint] between boards

    A line can be a template with alternatives in brackets. Lines that start with "#" are skipped. Phrasings
    above the first heading are returned under the key None.

    Raises:
        DataError: The file cannot be read.
    """
    found: dict[str | None, list[str]] = {}
    concept: str | None = None
    for line in load_lines(path, "the phrasings", "pass a UTF-8 text file"):
        words = " ".join(line.split())
        if not words or words.startswith("#"):
            continue
        if head := re.fullmatch(r"\[([^\[\]|]*)\]", words):
            concept = normal_concept(head[1])
        else:
            found.setdefault(concept, []).append(words)
    return {name: tuple(dict.fromkeys(phrases)) for name, phrases in found.items()}
