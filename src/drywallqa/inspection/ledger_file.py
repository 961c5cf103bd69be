"""Read and write `inspection.json`, the file of a ledger."""

from __future__ import annotations

import functools
import json
import types
import typing
from dataclasses import MISSING, asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

from drywallqa.errors import DataError
from drywallqa.files import json_bytes, write_whole
from drywallqa.inspection.ledger import SCHEMA, Ledger

_LARGEST = 1e300
_REMEDY = "restore the file from a backup, or choose another --out"


def write_ledger(ledger: Ledger, path: Path) -> None:
    """Write a ledger; the same ledger always gives the same bytes.

    Raises:
        OutputError: The file cannot be written.
    """
    write_whole(path, json_bytes({"schema": SCHEMA, **asdict(ledger)}, None))


def read_ledger(path: Path) -> Ledger:
    """Read a ledger.

    Raises:
        DataError: The file is missing, is no ledger, or has another schema.
    """
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise DataError(f"{path} cannot be read as an inspection ({problem}); {_REMEDY}") from problem
    if not isinstance(data, dict) or "schema" not in data:
        raise DataError(f"{path} is not an inspection; {_REMEDY}")
    if data["schema"] != SCHEMA:
        raise DataError(
            f"{path} has the schema {data['schema']!r}, but this version reads schema {SCHEMA}; use the "
            "version that wrote it, or choose another --out"
        )
    del data["schema"]
    try:
        ledger: Ledger = _build(Ledger, data, "ledger")
        _check_references(ledger)
        _check_values(ledger)
    except ValueError as problem:
        raise DataError(f"{path} is damaged: {problem}; {_REMEDY}") from problem
    return ledger


def _check_references(ledger: Ledger) -> None:
    """Check that numbers, places and photos exist and are unique.

    Raises:
        ValueError: They are not; the message names the place.
    """
    places = {place.id for place in ledger.places}
    visits = [visit.number for visit in ledger.visits]
    if visits != sorted(set(visits)):
        raise ValueError(f"its visits have the numbers {visits}, which are not in order or not unique")
    photos = [(visit.number, photo.path) for visit in ledger.visits for photo in visit.photos]
    if len(set(photos)) < len(photos):
        raise ValueError(f"visit {photos[0][0]} or a later one contains a photo twice")
    homes = {photo.place for visit in ledger.visits for photo in visit.photos}
    if unknown := sorted((homes | {finding.place for finding in ledger.findings}) - places):
        raise ValueError(f"the place {unknown[0]!r} is missing")
    numbers = [finding.number for finding in ledger.findings]
    if numbers != sorted(set(numbers)) or not all(0 < number < ledger.next_number for number in numbers):
        raise ValueError("the numbers of its findings are not in order, not unique or not below next_number")
    named = {number for finding in ledger.findings for number in finding.into}
    named |= {review.finding for review in ledger.reviews if review.action != "add"}
    if unknown_numbers := sorted(named - set(numbers)):
        raise ValueError(f"finding {unknown_numbers[0]} is missing")
    known = set(photos)
    for finding in ledger.findings:
        for seen in finding.observations:
            if (seen.visit, seen.photo) not in known:
                raise ValueError(
                    f"finding {finding.number} refers to the photo {seen.photo!r} of visit {seen.visit}, "
                    "which is missing"
                )


def _check_values(ledger: Ledger) -> None:
    """Check that scales are positive, and that centre lines have a width at each vertex.

    Raises:
        ValueError: They do not; the message names the place.
    """
    for visit in ledger.visits:
        for photo in visit.photos:
            if photo.scale is not None and not (photo.scale.mm_per_pixel > 0 <= photo.scale.relative_sigma):
                raise ValueError(
                    f"the scale of the photo {photo.path!r} of visit {visit.number} is not positive"
                )
    for finding in ledger.findings:
        for line in (line for seen in finding.observations for line in seen.centre_lines):
            sizes = {len(values) for values in (line.width_px, line.width_mm, line.seen) if values}
            if not sizes <= {len(line.points)}:
                raise ValueError(f"a centre line of finding {finding.number} lacks a width at a vertex")


def _build(kind: Any, value: Any, where: str) -> Any:
    """Build a value of the annotated type from JSON data.

    Raises:
        ValueError: The data does not have this type; the message names the place.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        rest = [a for a in arguments if a is not type(None)]
        return None if value is None and len(rest) < len(arguments) else _build(rest[0], value, where)
    if is_dataclass(kind):
        return _build_object(kind, value, where)
    if origin is tuple:
        return _build_tuple(arguments, value, where)
    if origin is dict and isinstance(value, dict):
        return {key: _build(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if (origin is typing.Literal and value in arguments) or kind is Any:
        return value
    if origin is typing.Literal:
        raise ValueError(f"{where} is {value!r}, which is not one of {', '.join(map(repr, arguments))}")
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not abs(value) < _LARGEST:  # also refuses NaN
            raise ValueError(f"{where} is {value!r}, which is not a finite number")
        return float(value)
    if isinstance(kind, type) and type(value) is kind:
        return value
    raise ValueError(f"{where} is {value!r}, which is not a {getattr(kind, '__name__', kind)}")


def _build_object(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is {value!r}, which is not an object")
    hints = _hints(kind)
    needed = {f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING}
    if unknown := sorted(set(value) - set(hints)):
        raise ValueError(f"{where} has the unknown key {unknown[0]!r}")
    if missing := sorted(needed - set(value)):
        raise ValueError(f"{where} lacks the key {missing[0]!r}")
    return kind(**{key: _build(hints[key], item, f"{where}.{key}") for key, item in value.items()})


_hints = functools.cache(typing.get_type_hints)


def _build_tuple(arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    if not isinstance(value, list):
        raise ValueError(f"{where} is {value!r}, which is not a list")
    if arguments[-1] is Ellipsis:
        return tuple(_build(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if len(value) != len(arguments):
        raise ValueError(f"{where} has {len(value)} items instead of {len(arguments)}")
    return tuple(
        _build(a, item, f"{where}[{i}]") for i, (a, item) in enumerate(zip(arguments, value, strict=True))
    )
