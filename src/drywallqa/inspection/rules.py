"""Rule sets of an inspection: limits and graded scales for measures of findings, with their sources."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from drywallqa.errors import RuleError
from drywallqa.inspection.ledger import Unit
from drywallqa.inspection.rule_fields import RuleFields, nearest, read_rule_yaml
from drywallqa.inspection.rule_grades import Grade, Several, read_grades, read_several

PRESETS = Path(__file__).parent / "rule_sets"
DEFAULT_RULES = "nhbc-9.1"

Quantity = Literal["length", "width_mean", "width_median", "width_p95", "width_max"]
QUANTITIES: dict[Quantity, str] = {
    "length": "length",
    "width_mean": "mean width",
    "width_median": "median width",
    "width_p95": "95th percentile of the width",
    "width_max": "largest width",
}
_SURE = ("high", "medium", "low")


@dataclass(frozen=True)
class RuleSource:
    """Where the numbers of a rule set are from.

    Attributes:
        document: Title of the standard or guide.
        clause: Clause or table.
        edition: Edition that states the numbers, or "not checked".
        address: Web address at which the numbers can be read.
        sure: How sure we are of the numbers: "high", "medium" or "low".
        verified: What was read to verify the numbers.
    """

    document: str
    clause: str
    edition: str
    address: str
    sure: str
    verified: str


@dataclass(frozen=True)
class Rule:
    """One rule: a limit, a graded scale, or a requirement that a photo cannot show.

    Attributes:
        id: Unique in the rule set.
        title: The requirement in words.
        concept: The concept of the findings; "" if the rule is about a whole wall.
        quantity: The measure that is compared; None if a photo cannot show the requirement.
        unit: Unit of the limit or of the classes: mm or px.
        grades: Classes in ascending order without gaps. A limit is stored as the classes "pass" and "fail".
        is_graded: False if the rule has a single limit.
        condition: A condition for passing that a photo does not show, as a clause; "" if none.
        not_assessable: Why a photo cannot show the requirement; "" if it can.
        advice: What to do if the rule is not assessable; "" if nothing.
        note: What a reader of a verdict must know beside the limit; "" if nothing.
        several: How the number of findings at a place matters; None if it does not.
    """

    id: str
    title: str
    concept: str
    quantity: Quantity | None = None
    unit: Unit = "mm"
    grades: tuple[Grade, ...] = ()
    is_graded: bool = False
    condition: str = ""
    not_assessable: str = ""
    advice: str = ""
    note: str = ""
    several: Several | None = None

    @property
    def acceptable(self) -> float:
        """The largest value that passes: the limit, or the upper end of the classes that pass."""
        ends = [grade.up_to for grade in self.grades if grade.outcome == "pass"]
        return (ends[-1] or math.inf) if ends else 0.0

    @property
    def lowered(self) -> Rule:
        """The rule for several findings: the class of `several` begins at its size."""
        if self.several is None:
            return self
        grades, higher = list(self.grades), self.several.grade
        grades[higher - 1] = replace(grades[higher - 1], up_to=self.several.over)
        grades[higher] = replace(grades[higher], over=self.several.over)
        return replace(self, grades=tuple(grades))


@dataclass(frozen=True)
class RuleSet:
    """A versioned rule set.

    Attributes:
        name: Name, such as "nhbc-9.1".
        version: Version of the file; it grows with each change of a number.
        title: One line for people.
        source: Where the numbers are from.
        does_not_apply_to: Cases for which the rules must not be used.
        note: A remark for every reader of a report; "" if none.
        choose_one: What the rules differ in ("exposure"), if only one of them applies; else "".
        rules: The rules that apply.
    """

    name: str
    version: int
    title: str
    source: RuleSource
    does_not_apply_to: tuple[str, ...]
    note: str
    choose_one: str
    rules: tuple[Rule, ...]

    @property
    def label(self) -> str:
        """Name and version, such as "nhbc-9.1 version 1", with the chosen rule, if one had to be chosen."""
        chosen = f":{self.rules[0].id}" if self.choose_one and len(self.rules) == 1 else ""
        return f"{self.name}{chosen} version {self.version}"


def preset_names() -> list[str]:
    """Return the names of the rule sets in the package."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def load_rule_set(name_or_path: str | Path) -> RuleSet:
    """Load a rule set for judging.

    Args:
        name_or_path: Name of a preset, or path of a YAML file. If only one rule of the set applies, its id
            follows after a colon, as in "aci-224r:dry-air".

    Raises:
        RuleError: The rule set does not exist or is wrong, or a rule must be chosen.
    """
    text, chosen = str(name_or_path), ""
    if not Path(text).is_file() and ":" in text:
        text, _, chosen = text.rpartition(":")
    rules = read_rule_set(text)
    ids = [rule.id for rule in rules.rules]
    if chosen and chosen not in ids:
        raise RuleError(f"the rule set {text} has no rule '{chosen}'{nearest(chosen, ids)}")
    if rules.choose_one and not chosen and len(ids) > 1:
        choices = ", ".join(f"{text}:{each}" for each in ids)
        raise RuleError(
            f"only one rule of {text} applies, depending on the {rules.choose_one}; use {choices}"
        )
    return replace(rules, rules=tuple(r for r in rules.rules if r.id == chosen)) if chosen else rules


def read_rule_set(name_or_path: str | Path) -> RuleSet:
    """Read all rules of a preset or of a YAML file.

    Raises:
        RuleError: The rule set does not exist, or its file is wrong. The message names the file and the key.
    """
    path = Path(name_or_path)
    if str(name_or_path) in preset_names():
        path = PRESETS / f"{name_or_path}.yaml"
    elif not path.is_file():
        names = preset_names()
        raise RuleError(
            f"there is no rule set and no file '{name_or_path}'{nearest(str(name_or_path), names)}; "
            f"the rule sets are {', '.join(names)}"
        )
    fields = RuleFields(path, "", read_rule_yaml(path))
    rules = RuleSet(
        fields.text("name"),
        fields.whole("version"),
        fields.text("title"),
        _read_source(fields.mapping("source")),
        tuple(fields.texts("does_not_apply_to")),
        fields.text("note", ""),
        fields.text("choose_one", ""),
        tuple(_read_rule(each) for each in fields.mappings("rules")),
    )
    fields.end()
    fields.check_unique("rules", "id", [rule.id for rule in rules.rules])
    return rules


def _read_source(fields: RuleFields) -> RuleSource:
    source = RuleSource(
        fields.text("document"),
        fields.text("clause"),
        fields.text("edition"),
        fields.text("address"),
        fields.choice("sure", _SURE),
        fields.text("verified"),
    )
    fields.end()
    return source


def _read_rule(fields: RuleFields) -> Rule:
    rule = Rule(fields.text("id"), fields.text("title"), fields.text("concept", ""))
    kinds = [key for key in ("limit", "classes", "not_assessable") if fields.has(key)]
    if len(kinds) != 1:
        found = " and ".join(kinds) if kinds else "none of them"
        raise fields.error("", f"needs one of the keys limit, classes and not_assessable, but has {found}")
    if kinds == ["not_assessable"]:
        rule = replace(rule, not_assessable=fields.text("not_assessable"), advice=fields.text("advice", ""))
    else:
        rule = _read_measurable(rule, fields)
    rule = replace(rule, note=fields.text("note", ""))
    fields.end()
    return rule


def _read_measurable(rule: Rule, fields: RuleFields) -> Rule:
    if not rule.concept:
        raise fields.error("concept", "is missing; a rule with a measure needs it, for example: crack")
    measure = fields.choice("measure", tuple(QUANTITIES))
    quantity: Quantity = next(each for each in QUANTITIES if each == measure)
    if fields.has("limit"):
        limit, unit = fields.length("limit")
        grades: tuple[Grade, ...] = (Grade("", 0.0, limit, "pass"), Grade("", limit, None, "fail"))
    else:
        grades, unit = read_grades(fields)
    several = read_several(fields.mapping("several"), grades, unit) if fields.has("several") else None
    return replace(
        rule,
        quantity=quantity,
        unit=unit,
        grades=grades,
        is_graded=not fields.has("limit"),
        condition=fields.text("condition", ""),
        several=several,
    )
