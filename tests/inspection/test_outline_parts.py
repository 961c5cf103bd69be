from __future__ import annotations

import numpy as np

from drywallqa.inspection.outline_parts import OutlineParts, find_fields


def test_outline_parts__boxes_sizes_and_likelihoods() -> None:
    outline = np.zeros((20, 30), bool)
    outline[2:4, 3:9] = outline[10, 20] = True
    probability = np.full((20, 30), 0.5, np.float32)
    probability[10, 20] = 1
    parts = OutlineParts.of(outline, probability)
    assert parts.boxes.tolist() == [[3, 2, 9, 4], [20, 10, 21, 11]]
    assert parts.sizes.tolist() == [12, 1]
    assert parts.likelihoods.tolist() == [0.5, 1]
    assert parts.measured().all()


def test_outline_parts__an_empty_outline_has_no_parts() -> None:
    assert not len(OutlineParts.of(np.zeros((5, 5), bool), None).sizes)


def test_measured__many_specks_are_left_for_fields_and_large_parts_stay() -> None:
    outline = np.zeros((400, 640), bool)
    outline[::8, ::8] = True
    outline[100:104, 100:400] = True
    parts = OutlineParts.of(outline, None)
    assert parts.measured().sum() == 1


def test_find_fields__twenty_thousand_specks_are_few_fields() -> None:
    outline = np.zeros((1200, 1600), bool)
    outline[::8, ::12] = True
    parts = OutlineParts.of(outline, None)
    assert len(parts.sizes) > 20_000
    kept = parts.measured()
    fields = find_fields(parts, np.flatnonzero(~kept), "crack")
    assert not kept.any()
    assert [field.marks for field in fields] == [len(parts.sizes)]


def test_find_fields__distant_fields_stay_apart() -> None:
    outline = np.zeros((1200, 1600), bool)
    outline[20:140:10, 20:140:10] = outline[1000:1100:10, 1400:1500:10] = True
    parts = OutlineParts.of(outline, None)
    fields = find_fields(parts, np.arange(len(parts.sizes)), "crack")
    assert [field.marks for field in fields] == [144, 100]
    assert fields[1].box == (1400, 1000, 1491, 1091)
