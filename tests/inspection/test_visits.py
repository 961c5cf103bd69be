"""Findings of two visits, or of overlapping photos, are matched by their centre lines."""

from __future__ import annotations

import numpy as np

from drywallqa.inspection.scale import project
from drywallqa.inspection.visits import SeenFinding, link_overlaps, match_findings
from visited_walls import observation, pair, straight

TILTED = np.array([[0.8, 0.1, 50.0], [-0.05, 0.85, 60.0], [1e-4, 5e-5, 1.0]])


def seen(*lines: np.ndarray, concept: str = "crack") -> list[SeenFinding]:
    return [SeenFinding(number, concept, observation(line)) for number, line in enumerate(lines, 1)]


LONG, SHORT = straight((100, 100), (600, 400)), straight((200, 500), (400, 450))


def test_match__tilted_photo() -> None:
    after = seen(project(TILTED, SHORT), project(TILTED, LONG) + 1.0)
    found = match_findings({"a": seen(LONG, SHORT)}, {"b": after}, [pair("a", "b", TILTED)])
    assert found.number_of == {1: 2, 2: 1}
    assert not found.merged


def test_match__pieces_keep_the_number() -> None:
    pieces = seen(straight((100, 100), (300, 220)), straight((350, 250), (600, 400)))
    found = match_findings({"a": seen(LONG)}, {"b": pieces}, [pair("a", "b")])
    assert found.number_of == {1: 1, 2: 1}


def test_match__cracks_that_have_grown_together_are_merged_into_the_longer_one() -> None:
    parts = seen(straight((100, 100), (200, 160)), straight((300, 220), (600, 400)))
    found = match_findings({"a": parts}, {"b": seen(LONG)}, [pair("a", "b")])
    assert found.number_of == {1: 2}
    assert found.merged == {1: 2}


def test_match__lines_that_cross_are_different() -> None:
    crossing = straight((300, 400), (420, 100))
    assert not match_findings({"a": seen(LONG)}, {"b": seen(crossing)}, [pair("a", "b")]).number_of


def test_match__lines_side_by_side_are_different() -> None:
    assert not match_findings(
        {"a": seen(LONG)}, {"b": seen(LONG + np.array([0, 15]))}, [pair("a", "b")]
    ).number_of


def test_match__concepts_are_not_mixed() -> None:
    joint = seen(LONG, concept="taping area")
    assert not match_findings({"a": seen(LONG)}, {"b": joint}, [pair("a", "b")]).number_of


def test_match__photos_without_alignment() -> None:
    assert not match_findings({"a": seen(LONG)}, {"b": seen(LONG)}, []).number_of


def test_link_overlaps__a_crack_on_three_photos_is_one_group() -> None:
    moved = np.array([[1.0, 0, -100], [0, 1, -20], [0, 0, 1]])
    line = observation(LONG)
    first, second = (
        [SeenFinding(1, "crack", line)],
        [SeenFinding(2, "crack", observation(project(moved, LONG)))],
    )
    third = [
        SeenFinding(3, "crack", observation(project(moved @ moved, LONG))),
        SeenFinding(4, "crack", observation(SHORT)),
    ]
    pairs = [pair("a", "b", moved), pair("b", "c", moved)]
    assert link_overlaps({"a": first, "b": second, "c": third}, pairs) == [[1, 2, 3], [4]]
