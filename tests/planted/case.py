"""What a planted fault is, and how three severities of it are listed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

Severity = Literal["mild", "clear", "gross", "sound"]
Target = Literal["run", "bundle", "data", "state dict"]
Verb = Literal["diagnose", "audit"]
Make = Callable[[Path, Severity, Any], list[str]]

FAMILY_OPTION = "--family"
"""How `diagnose` is told the family of a foreign state dict, where it has to be told."""


class UnavailableError(Exception):
    """A case cannot be built here, because the real data or an optional part is missing."""


@dataclass(frozen=True)
class Case:
    """One thing to be judged, and what is the matter with it.

    Attributes:
        name: Unique: kind and severity.
        kind: The fault; cases of one kind differ in severity.
        severity: "mild" still matters to a user; "sound" has no fault.
        target: What the fault is planted into.
        verb: The command that has the information to find it.
        build: Makes the thing in an empty folder; returns the arguments after `drywallqa`.
        cause: The right cause in plain words; of a sound case, what it is.
        accept: Regular expressions, searched without regard to case in a finding's name and cause; any one
            makes the finding right. Of a sound case: findings that are true of it and accuse nobody.
    """

    name: str
    kind: str
    severity: Severity
    target: Target
    verb: Verb
    build: Callable[[Path], list[str]]
    cause: str
    accept: frozenset[str]


def three(
    kind: str,
    target: Target,
    verb: Verb,
    make: Make,
    values: Sequence[Any],
    cause: str,
    accept: Sequence[str],
) -> tuple[Case, ...]:
    """List a kind at its three severities; `values` are what `make` is given for each, mild first."""
    severities: tuple[Severity, ...] = ("mild", "clear", "gross")
    return tuple(
        Case(
            f"{kind}--{severity}",
            kind,
            severity,
            target,
            verb,
            partial(_build, make, severity, value),
            cause,
            frozenset(accept),
        )
        for severity, value in zip(severities, values, strict=True)
    )


def sound(
    kind: str,
    target: Target,
    verb: Verb,
    build: Callable[[Path], list[str]],
    what: str,
    true: Sequence[str] = (),
) -> Case:
    """List a sound case."""
    return Case(f"{kind}--sound", kind, "sound", target, verb, build, what, frozenset(true))


def _build(make: Make, severity: Severity, value: Any, folder: Path) -> list[str]:
    return make(folder, severity, value)
