"""What figures mean: from an evaluation's numbers to strengths, limits and steps."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from drywallqa.intervals import Figure
from drywallqa.reports.judgement import Statement, judge, steps
from drywallqa.reports.sources import EvaluationRecord, FigureSlice


def figure(value: float, low: float = math.nan, high: float = math.nan) -> Figure:
    return Figure(value, low, high, 90, 90)


SOUND: dict[str, Figure] = {
    "IoU": figure(0.62, 0.55, 0.68),
    "Dice": figure(0.74, 0.70, 0.80),
    "precision": figure(0.75, 0.7, 0.8),
    "recall": figure(0.73, 0.7, 0.8),
    "false alarms": figure(0.0, 0.0, 0.03),
}


def cut(kind: str = "concept", name: str = "all", *, pairs: int = 90, **figures: Figure) -> FigureSlice:
    named = {key.replace("_", " "): value for key, value in figures.items()}
    return FigureSlice(kind, "crack", name, pairs, 80, {**SOUND, **named})


def measured(*cuts: FigureSlice, causes: dict[str, int] | None = None, **data: Any) -> EvaluationRecord:
    head = {"model": "m 1", "split": "test", "notes": [], "questions": [{"prompt": "p", "concept": "crack"}]}
    return EvaluationRecord(Path("x"), "x/evaluation.json", {**head, **data}, cuts, (), causes or {})


def texts(statements: list[Statement], good: bool) -> str:
    return "\n".join(statement.text for statement in statements if statement.good == good)


def test_judge__a_sound_model_has_strengths_and_no_steps() -> None:
    found = judge(measured(cut()))
    assert "above 0.5 even at the lower end of the interval" in texts(found, True)
    assert "false alarms on 0.0%" in texts(found, True)
    assert texts(found, False) == ""
    assert steps(found) == []


def test_judge__an_interval_decides_not_the_value() -> None:
    found = judge(measured(cut(IoU=figure(0.62, 0.1, 0.9))))
    assert "interval is below 0.3" in texts(found, False)
    quiet = judge(measured(cut(false_alarms=figure(0.0, 0.0, 0.71))))
    assert "false alarms" not in texts(quiet, True), "three photos without an alarm prove nothing"


def test_judge__leaks_come_first_whatever_the_rest() -> None:
    found = judge(measured(cut(false_alarms=figure(0.4, 0.3, 0.5)), leaking_photos=7))
    assert found[0].text.startswith("7 evaluated photos")
    assert steps(found)[0].command.startswith("drywallqa data split")


def test_judge__missing_more_than_adding_and_the_reverse_ask_for_other_thresholds() -> None:
    missing = steps(judge(measured(cut(recall=figure(0.4, 0.3, 0.5)))))
    adding = steps(judge(measured(cut(precision=figure(0.4, 0.3, 0.5)))))
    assert [step.command.rpartition(" ")[2] for step in (*missing, *adding)] == [
        "recall=0.9",
        "precision=0.8",
    ]


def test_judge__uneven_settings_and_widths_are_named_with_both_ends() -> None:
    parts = [
        cut("setting", "A", IoU=figure(0.7)), cut("setting", "B", IoU=figure(0.3)),
        cut("width", "narrow third (0.0–4.0 px)", IoU=figure(0.35)),
        cut("width", "wide third (over 9.0 px)", IoU=figure(0.6)),
    ]  # fmt: skip
    found = texts(judge(measured(cut(), *parts)), False)
    assert "IoU depends on setting: 0.300 for 'B' and 0.700 for 'A'" in found
    assert "IoU depends on width: 0.350 for 'narrow third" in found


def test_judge__calibration_is_judged_where_the_model_sees_something() -> None:
    def curves(observed: float) -> dict[str, Any]:
        bins = {"predicted": [0.01, 0.8], "observed": [0.01, observed], "pixels": [10**9, 1000]}
        return {"p": {"calibration": bins}}

    off = judge(measured(cut(), curves=curves(0.5)))
    assert "differ from true shares by 0.30" in texts(off, False), (
        "a billion pixels of background must not hide it"
    )
    assert "differ from true shares by 0.01" in texts(judge(measured(cut(), curves=curves(0.79))), True)


def test_judge__confusion_and_causes() -> None:
    regions = {
        "crack": {"nothing": 50, "crack": 30, "seam": 20}, "seam": {"nothing": 1, "crack": 0, "seam": 99},
        "background": {"nothing": 99, "crack": 1, "seam": 0},
    }  # fmt: skip
    found = judge(measured(cut(), regions=regions, causes={"doubtful label": 6, "broken": 1}))
    assert "crack: 20.0% of its pixels are marked only as seam" in texts(found, False)
    assert "seam: 0.0% of its pixels are marked only as crack" in texts(found, True)
    assert "6 of the 7 worst masks look like: doubtful label" in texts(found, False)
    assert "broken" not in texts(found, False), "one of a kind is no pattern"


def test_judge__nothing_without_the_concept_was_measured() -> None:
    alone = FigureSlice("concept", "crack", "all", 90, 0, {**SOUND, "false alarms": figure(math.nan)})
    found = judge(measured(alone))
    assert "false alarms are unknown" in texts(found, False)
    assert any("--absent" in step.command for step in steps(found))


def test_steps__each_once_and_the_most_promising_first() -> None:
    given = [
        Statement(False, str(weight), step, "", weight)
        for step, weight in (("a", 0.1), ("b", 0.5), ("a", 0.3))
    ]
    assert [(one.step, one.weight) for one in steps(given)] == [("b", 0.5), ("a", 0.3)]
