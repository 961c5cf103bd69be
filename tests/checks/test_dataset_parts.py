from drywallqa.checks import dataset_parts


def names(found: list) -> list[str]:
    return [each.name for each in found]


def test_check_copies__names_come_before_looks() -> None:
    assert dataset_parts.check_copies([], []) == []
    assert names(dataset_parts.check_copies([("test in train", 2, 9)], [("a", "b")])) == ["split-leak"]
    assert names(dataset_parts.check_copies([], [("a", "b")])) == ["split-leak"]


def test_check_repeats__a_few_alike_are_no_fault() -> None:
    assert dataset_parts.check_repeats(2, 100) == []
    assert names(dataset_parts.check_repeats(20, 100)) == ["photos-repeated"]


def test_check_problems__sizes_apart_from_damage() -> None:
    problems = [
        ("unreadable", "a.png: the mask is 3×3 px but its photo 6×6"),
        ("unreadable", "b.jpg: cut off"),
    ]
    assert names(dataset_parts.check_problems(problems, 10)) == ["masks-size", "photos-broken"]
    assert dataset_parts.check_problems([("degenerate", "c")], 10) == []


def test_check_boxes__of_lines_alone() -> None:
    assert names(dataset_parts.check_boxes({"crack": 5}, {"crack": 10})) == ["labels-boxes"]
    assert dataset_parts.check_boxes({"taping area": 10}, {"taping area": 10}) == []
    assert dataset_parts.check_boxes({"crack": 1}, {"crack": 10}) == []


def test_check_sizes__parts_apart() -> None:
    assert dataset_parts.check_sizes({"train": [640] * 5, "val": [480] * 5}) == []
    assert names(dataset_parts.check_sizes({"train": [640] * 5, "val": [320] * 5})) == ["parts-resolution"]
    assert dataset_parts.check_sizes({"train": [640] * 5, "val": [64]}) == []
