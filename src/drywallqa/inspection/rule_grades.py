"""The classes of a graded rule, and when several findings belong to a higher class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drywallqa.inspection.ledger import Outcome, Unit
from drywallqa.inspection.rule_fields import RuleFields

_OUTCOMES: tuple[Outcome, ...] = ("pass", "monitor", "fail")


@dataclass(frozen=True)
class Grade:
    """A class of a graded scale: `over` < value ≤ `up_to`.

    Attributes:
        name: Name with the scale, such as "Burland 2 (slight)".
        over: Lower end in the unit of the rule; the first class starts at 0 and includes it.
        up_to: Upper end; None if the class has no upper end.
        outcome: "pass", "monitor" or "fail".
    """

    name: str
    over: float
    up_to: float | None
    outcome: Outcome


@dataclass(frozen=True)
class Several:
    """A number of findings at one place that belong to a higher class than each of them alone.

    Attributes:
        count: Least number of findings.
        over: Size over which a finding counts, in the unit of the rule. It lies in the class below `grade`.
        grade: Index of the class to which the counted findings belong.
    """

    count: int
    over: float
    grade: int


def read_grades(fields: RuleFields) -> tuple[tuple[Grade, ...], Unit]:
    """Read the classes of a graded scale, and their unit.

    Raises:
        RuleError: A class is wrong, or the classes do not join without gaps and overlaps.
    """
    items = fields.mappings("classes")
    grades: list[Grade] = []
    units: list[Unit] = []
    for item in items:
        first, last = not grades, item is items[-1]
        over = (0.0, None) if first and not item.has("over") else item.length("over")
        up_to = (None, None) if last and not item.has("up_to") else item.length("up_to")
        units += [unit for unit in (over[1], up_to[1]) if unit is not None]
        if len(set(units)) > 1:
            raise item.error("", "mixes millimetres and pixels; use one unit for all classes")
        start = 0.0 if first else grades[-1].up_to or 0.0
        if over[0] != start:
            raise item.error("over", _describe_break(over[0], start, units[-1], first))
        if up_to[0] is not None and up_to[0] <= over[0]:
            text = f"is {up_to[0]:g} {units[-1]}, which is not above the lower end of {over[0]:g} {units[-1]}"
            raise item.error("up_to", text)
        grades.append(Grade(item.text("name"), over[0], up_to[0], _read_outcome(item, grades)))
        item.end()
    if not units:
        raise fields.error("classes", "has no limit; write up_to or over, for example: up_to: 1 mm")
    fields.check_unique("classes", "name", [grade.name for grade in grades])
    return tuple(grades), units[0]


def _describe_break(over: float, start: float, unit: str, first: bool) -> str:
    if first:
        return f"is {over:g} {unit}, but the first class starts at 0; leave the key out"
    kind = "a gap" if over > start else "an overlap"
    return f"is {over:g} {unit}, but the class before ends at {start:g} {unit}; this is {kind}"


def _read_outcome(item: RuleFields, before: list[Grade]) -> Outcome:
    text = item.choice("outcome", _OUTCOMES)
    outcome = next(each for each in _OUTCOMES if each == text)
    if before and _OUTCOMES.index(outcome) < _OUTCOMES.index(before[-1].outcome):
        raise item.error("outcome", f"is '{text}', which is milder than the outcome of the class before")
    return outcome


def read_several(fields: RuleFields, grades: Sequence[Grade], unit: Unit) -> Several:
    """Read how several findings at a place belong to a higher class.

    Raises:
        RuleError: A key is wrong, or the size is not inside the class below.
    """
    names = [grade.name for grade in grades]
    count, (over, own_unit) = fields.whole("count"), fields.length("over")
    index = names.index(fields.choice("class", names))
    fields.end()
    if own_unit != unit or index == 0 or not grades[index - 1].over < over < grades[index].over:
        raise fields.error(
            "over", f"is {over:g} {own_unit}, which is not inside the class before the one named"
        )
    return Several(count, over, index)
