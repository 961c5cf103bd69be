"""`drywallqa rules`: list the rule sets, show one, or check a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from drywallqa.inspection.rules import Rule


def rules(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME|FILE]",
            help="A rule set to show, one of its rules (NAME:RULE), or a YAML file to check and show.",
        ),
    ] = None,
) -> None:
    """List the rule sets of the package, show one of them, or check a file with your own rules."""
    from drywallqa.inspection.rules import DEFAULT_RULES, PRESETS, load_rule_set, preset_names, read_rule_set

    if name is None:
        for each in preset_names():
            default = " (default)" if each == DEFAULT_RULES else ""
            print(f"{each:<10} {read_rule_set(each).title}{default}")
        print(f"The files are in {PRESETS}. Copy one of them to write your own rules.")
        return
    names_a_rule = ":" in name and not Path(name).is_file()
    found = load_rule_set(name) if names_a_rule else read_rule_set(name)
    source = found.source
    print(f"{found.label}: {found.title}")
    print(f"source: {source.document}; {source.clause}; edition: {source.edition}")
    print(f"address: {source.address}")
    print(f"sure: {source.sure}. {source.verified}")
    print(f"does not apply to: {'; '.join(found.does_not_apply_to)}")
    if found.note:
        print(f"note: {found.note}")
    if found.choose_one and not names_a_rule:
        print(f"choose one rule by the {found.choose_one}, for example --rules {name}:{found.rules[0].id}")
    for rule in found.rules:
        _print_rule(rule)


def _print_rule(rule: Rule) -> None:
    from drywallqa.inspection.measure_text import limit_text
    from drywallqa.inspection.rules import QUANTITIES
    from drywallqa.inspection.several_findings import several_text

    print(f"{rule.id}: {rule.title}")
    if rule.quantity is None:
        print(f"  not assessable: {rule.not_assessable}")
        return
    quantity = f"{QUANTITIES[rule.quantity]} of a {rule.concept}"
    if not rule.is_graded:
        print(f"  {quantity}: at most {limit_text(rule.acceptable, rule.unit)}")
    for grade in rule.grades if rule.is_graded else ():
        start = f"over {limit_text(grade.over, rule.unit)}" if grade.over else ""
        end = "" if grade.up_to is None else f"up to {limit_text(grade.up_to, rule.unit)}"
        print(f"  {quantity} {' '.join(filter(None, (start, end)))}: {grade.name}, {grade.outcome}")
    if rule.several:
        print(f"  {several_text(rule)}")
    if rule.condition:
        print(f"  only if {rule.condition}")
    if rule.note:
        print(f"  {rule.note}")
