"""Rule files are read strictly: every fault is a sentence with the file and the key, never a wrong limit."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from drywallqa.errors import RuleError
from drywallqa.inspection.rules import (
    DEFAULT_RULES,
    PRESETS,
    QUANTITIES,
    RuleSet,
    load_rule_set,
    preset_names,
    read_rule_set,
)

SOURCE = {
    "document": "a",
    "clause": "b",
    "edition": "c",
    "address": "https://d",
    "sure": "low",
    "verified": "e",
}
LIMIT = {"id": "width", "title": "t", "concept": "crack", "measure": "width_max", "limit": "2 mm"}
CLASSES = [
    {"name": "zero", "up_to": "0.1 mm", "outcome": "pass"},
    {"name": "one", "over": "0.1 mm", "up_to": "1 cm", "outcome": "monitor"},
    {"name": "two", "over": "10 mm", "outcome": "fail"},
]
GRADED = {"id": "grade", "title": "t", "concept": "crack", "measure": "width_max", "classes": CLASSES}
TEXT = {"id": "flat", "title": "t", "not_assessable": "A photo does not show flatness."}


def rule_file(*rules: dict[str, Any], **changes: Any) -> dict[str, Any]:
    data = {"name": "mine", "version": 3, "title": "t", "source": SOURCE, "does_not_apply_to": ["x"]}
    return copy.deepcopy({**data, "rules": list(rules or (LIMIT, GRADED, TEXT)), **changes})


def read(folder: Path, data: Any) -> RuleSet:
    path = folder / "mine.yaml"
    path.write_text(data if isinstance(data, str) else yaml.safe_dump(data), encoding="utf-8")
    return load_rule_set(path)


def test_a_file_is_read_with_its_units(tmp_path: Path) -> None:
    rules = read(tmp_path, rule_file())
    assert rules.label == "mine version 3"
    limit, graded, text = rules.rules
    assert (limit.unit, limit.acceptable, limit.is_graded) == ("mm", 2.0, False)
    assert [(g.over, g.up_to) for g in graded.grades] == [(0, 0.1), (0.1, 10), (10, None)]
    assert text.quantity is None
    inches = read(tmp_path, rule_file({**LIMIT, "limit": "0.5 in"})).rules[0]
    assert inches.acceptable == pytest.approx(12.7)
    assert read(tmp_path, rule_file({**LIMIT, "limit": "3 px"})).rules[0].unit == "px"


def change(**values: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda data: data["rules"][0].update(values)


def change_class(number: int, **values: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda data: data["rules"][1]["classes"][number].update(values)


FAULTS: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda d: d.update(nmae="x"), r"mine\.yaml: nmae is not a known key; did you mean 'name'\?"),
    (lambda d: d.pop("name"), r"mine\.yaml: name is missing"),
    (lambda d: d.update(name=5), "name is 5, but must be a text; use quotes"),
    (lambda d: d.update(version="1"), "version is '1', but must be a whole number from 1"),
    (lambda d: d.update(version=True), "version is True"),
    (lambda d: d.update(version=0), "version is 0"),
    (lambda d: d.update(rules=[]), "rules is .*, but must be a list with at least one item"),
    (lambda d: d.update(rules="none"), "rules is 'none'"),
    (lambda d: d.update(rules=["x"]), r"rules\[0\] is 'x', but must contain keys and values"),
    (lambda d: d.update(does_not_apply_to=[""]), r"does_not_apply_to\[0\] is ''"),
    (lambda d: d["source"].pop("clause"), "source.clause is missing"),
    (lambda d: d["source"].update(sure="very"), "source.sure is 'very', but must be one of high, "),
    (lambda d: d["rules"][1].update(id="width"), "rules uses the id 'width' more than once"),
    (change(limit="2 bananas"), r'rules\[0\] \(width\)\.limit: "bananas" is not a known unit'),
    (change(limit=2), r'limit: "2" has no unit'),
    (change(limit="-2 mm"), "limit: -2 mm is not above zero"),
    (change(limit="0 mm"), "limit: 0 mm is not above zero"),
    (change(limit="1e999 mm"), "limit: 1e999 mm is not a finite number"),
    (change(limit=None), "limit: .None. is not a length"),
    (change(lmit="2 mm"), r"rules\[0\] \(width\)\.lmit is not a known key; did you mean 'limit'\?"),
    (change(measure="wdth"), "measure is 'wdth', but must be one of length, width_mean"),
    (change(not_assessable="x"), "needs one of the keys .*, but has limit and not_assessable"),
    (lambda d: d["rules"][0].pop("limit"), "but has none of them"),
    (lambda d: d["rules"][0].pop("concept"), "concept is missing"),
    (change_class(1, over="0.2 mm"), r"classes\[1\]\.over is 0.2 mm, .* ends at 0.1 mm; this is a gap"),
    (change_class(1, over="0.05 mm"), "this is an overlap"),
    (change_class(1, up_to="0.1 mm"), "up_to is 0.1 mm, which is not above the lower end of 0.1 mm"),
    (change_class(1, up_to="0.01 mm"), "up_to is 0.01 mm, which is not above"),
    (change_class(1, up_to="10 px"), r"classes\[1\] mixes millimetres and pixels"),
    (change_class(0, over="0.05 mm"), "the first class starts at 0"),
    (change_class(2, outcome="pass"), "milder than the outcome of the class before"),
    (change_class(2, outcome="bad"), "outcome is 'bad', but must be one of pass, monitor, fail"),
    (change_class(2, name="one"), "classes uses the name 'one' more than once"),
    (lambda d: d["rules"][1]["classes"][1].pop("up_to"), r"classes\[1\]\.up_to is missing"),
    (lambda d: d["rules"][1]["classes"][1].pop("over"), r"classes\[1\]\.over is missing"),
    (lambda d: d["rules"][1].update(classes=[{"name": "n", "outcome": "pass"}]), "classes has no limit"),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "message"), FAULTS)
def test_each_fault_is_a_sentence(
    tmp_path: Path, fault: Callable[[dict[str, Any]], Any], message: str
) -> None:
    data = rule_file()
    fault(data)
    with pytest.raises(RuleError, match=message) as caught:
        read(tmp_path, data)
    assert str(caught.value).startswith(str(tmp_path / "mine.yaml"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nname: b\n", "line 2: the key 'name' occurs twice"),
        ("rules:\n  - id: a\n    id: b\n", "line 3: the key 'id' occurs twice"),
        ("a: [", "is not valid YAML"),
        ("", "does not contain the keys of a rule set"),
        ("- a", "does not contain the keys of a rule set"),
        ("? [1]\n: 2", "line 1: a key must be a word"),
        ("[" * 5000, "cannot be read"),
        ("a: !!python/object:os.system {}", "is not valid YAML"),
    ],
)
def test_files_that_are_not_rules(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RuleError, match=message):
        read(tmp_path, text)


def test_unknown_names_are_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match=r"did you mean 'nhbc-9\.1'\?"):
        load_rule_set("nhbc-91")
    with pytest.raises(RuleError, match="there is no rule set and no file"):
        load_rule_set(tmp_path / "missing.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(RuleError, match="cannot be read as a rule set"):
        load_rule_set(tmp_path / "bytes.yaml")


def test_a_rule_must_be_chosen_if_only_one_applies() -> None:
    with pytest.raises(RuleError, match="depending on the exposure; use aci-224r:dry-air, "):
        load_rule_set("aci-224r")
    with pytest.raises(RuleError, match="no rule 'dryair'; did you mean 'dry-air'"):
        load_rule_set("aci-224r:dryair")
    chosen = load_rule_set("aci-224r:dry-air")
    assert [rule.id for rule in chosen.rules] == ["dry-air"]
    assert chosen.label == "aci-224r:dry-air version 1"


@pytest.mark.parametrize("name", preset_names())
def test_presets_state_their_source(name: str) -> None:
    rules = read_rule_set(name)
    assert rules.name == name
    assert rules.source.address.startswith("http")
    assert rules.does_not_apply_to
    assert PRESETS.joinpath(f"{name}.yaml").read_text(encoding="utf-8").count("\t") == 0


def test_the_example_of_the_docs_is_valid(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "inspection.md").read_text(encoding="utf-8")
    rules = read(tmp_path, page.split("```yaml\n")[1].split("```")[0])
    assert [rule.id for rule in rules.rules] == ["crack-width", "damage", "flatness"]


def test_the_default_exists() -> None:
    assert load_rule_set(DEFAULT_RULES).rules


@pytest.mark.parametrize("name", ["aci-224r", "en-1992"])
def test_concrete_presets_say_so(name: str) -> None:
    assert "Reinforced concrete only" in read_rule_set(name).note


@pytest.mark.parametrize("name", ["ga-214", "q1-q4"])
def test_levels_of_finish_are_never_assessable(name: str) -> None:
    assert all(rule.quantity is None for rule in read_rule_set(name).rules)


def test_flatness_is_never_assessable() -> None:
    flat = [r for name in preset_names() for r in read_rule_set(name).rules if "flat within" in r.title]
    assert flat
    assert all(rule.quantity is None for rule in flat)


ENDS = st.lists(st.integers(1, 10**6), min_size=1, max_size=8, unique=True).map(sorted)


def scale_of(ends: list[int]) -> list[dict[str, str]]:
    classes = [{"name": f"c{i}", "up_to": f"{end} mm", "outcome": "monitor"} for i, end in enumerate(ends)]
    for lower, item in zip(ends, classes[1:], strict=False):
        item["over"] = f"{lower} mm"
    return classes


@settings(max_examples=60, deadline=None)
@given(ENDS)
def test_joined_scales_are_accepted(tmp_path_factory: pytest.TempPathFactory, ends: list[int]) -> None:
    rule = read(tmp_path_factory.mktemp("r"), rule_file({**GRADED, "classes": scale_of(ends)})).rules[0]
    assert [grade.up_to for grade in rule.grades] == ends
    assert [grade.over for grade in rule.grades] == [0, *ends[:-1]]


@settings(max_examples=60, deadline=None)
@given(ENDS.filter(lambda ends: len(ends) > 1), st.data())
def test_any_gap_or_overlap_is_refused(
    tmp_path_factory: pytest.TempPathFactory, ends: list[int], data: st.DataObject
) -> None:
    classes = scale_of(ends)
    broken = data.draw(st.integers(1, len(ends) - 1))
    over = data.draw(st.integers(1, 2 * 10**6).filter(lambda value: value != ends[broken - 1]))
    classes[broken]["over"] = f"{over} mm"
    with pytest.raises(RuleError, match=rf"classes\[{broken}\]\.over is .* this is a(n overlap| gap)"):
        read(tmp_path_factory.mktemp("r"), rule_file({**GRADED, "classes": classes}))


SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=4), x, max_size=3)
)
PATHS = st.lists(st.integers(0, 30), min_size=1, max_size=5)


@settings(max_examples=150, deadline=None)
@given(PATHS, VALUES)
def test_any_damaged_value_gives_a_rule_error_or_valid_limits(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], value: Any
) -> None:
    data: Any = rule_file()
    node = data
    for step in steps[:-1]:
        children = list(node.values() if isinstance(node, dict) else node)
        containers = [child for child in children if isinstance(child, dict | list)]
        node = containers[step % len(containers)] if containers else node
    keys = list(node) if isinstance(node, dict) else list(range(len(node)))
    node[keys[steps[-1] % len(keys)]] = value
    message, rules = "", ()
    try:
        rules = read(tmp_path_factory.mktemp("r"), data).rules
    except RuleError as error:
        message = str(error)
    assert rules or "mine.yaml" in message
    for rule in rules:
        assert (rule.quantity in QUANTITIES) == bool(rule.grades)
        for lower, upper in zip(rule.grades, rule.grades[1:], strict=False):
            assert lower.up_to == upper.over > lower.over >= 0


SEVERAL = {"count": 3, "over": "3 mm", "class": "two"}


def test_several_findings_lower_the_start_of_their_class(tmp_path: Path) -> None:
    (rule,) = read(tmp_path, rule_file({**GRADED, "several": SEVERAL})).rules
    assert [(g.name, g.over, g.up_to) for g in rule.lowered.grades] == [
        ("zero", 0, 0.1), ("one", 0.1, 3), ("two", 3, None),
    ]  # fmt: skip
    assert [g.over for g in rule.grades] == [0, 0.1, 10]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"over": "10 mm"}, "several.over is 10 mm, which is not inside the class before"),
        ({"over": "0.1 mm"}, "not inside the class before"),
        ({"over": "3 px"}, "is 3 px"),
        ({"class": "zero"}, "not inside the class before"),
        ({"class": "tow"}, "did you mean 'two'"),
        ({"count": 0}, "whole number from 1"),
        ({"cuont": 3}, "did you mean"),
    ],
)
def test_several_findings_are_read_strictly(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(RuleError, match=words):
        read(tmp_path, rule_file({**GRADED, "several": {**SEVERAL, **change}}))
