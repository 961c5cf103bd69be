import numpy as np
import pytest

from drywallqa.checks import data_checks


def truth(share: float = 0.1, photos: int = 4) -> np.ndarray:
    masks = np.zeros((photos, 2, 20, 20), np.float32)
    masks[:, 0, : round(20 * share)] = 1
    return masks


ALL = np.ones((4, 2), np.float32)
BOTH = ("crack", "taping area")


def names(findings: list) -> list[str]:
    return [finding.name for finding in findings]


def test_check_truth__sound_masks_raise_nothing() -> None:
    assert data_checks.check_truth(truth(), ALL, BOTH) == []
    assert data_checks.check_truth(truth(0.95), ALL, BOTH) == []


@pytest.mark.parametrize(
    ("masks", "case", "said"),
    [
        (truth() * 255, "masks-range", "from 0 to 255"),
        (truth() - 0.5, "masks-range", "from -0.5"),
        (truth() * np.float32(np.nan), "masks-range", "from nan to nan"),
        (truth(0), "masks-empty", "all 8 ground-truth masks"),
        (truth(1), "masks-full", "100.0%"),
    ],
)
def test_check_truth__names_what_is_wrong(masks: np.ndarray, case: str, said: str) -> None:
    (found,) = data_checks.check_truth(masks, ALL, BOTH)
    assert found.name == case
    assert said in found.evidence


def test_check_truth__what_is_not_labelled_is_not_judged() -> None:
    masks = truth()
    masks[:, 1] = 255
    assert data_checks.check_truth(masks, np.array([[1, 0]] * 4), BOTH) == []
    assert names(data_checks.check_truth(masks, np.zeros((4, 2)), BOTH)) == ["masks-empty"]


def test_check_images__range() -> None:
    pixels = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    assert data_checks.check_images(pixels) == []
    assert names(data_checks.check_images(np.abs(pixels) * 100)) == ["images-range"]
    assert names(data_checks.check_images(pixels * 0)) == ["images-range"]
    assert names(data_checks.check_images(pixels * np.inf)) == ["images-range"]


def test_check_phrasings__one_that_means_something_else_is_named() -> None:
    phrasings = {"crack": ("segment crack", "fissure"), "taping area": ("joint",)}
    known = {"segment crack": "crack", "joint": "taping area"}
    (found,) = data_checks.check_phrasings(phrasings, known.get)
    assert found.name == "prompt-unknown"
    assert "'fissure' of 'crack'" in found.evidence
    assert data_checks.check_phrasings(phrasings, (known | {"fissure": "crack"}).get) == []


def test_check_embeddings__alike_concepts_are_named() -> None:
    one, two = np.eye(4, dtype=np.float32)[:2]
    assert data_checks.check_embeddings({"crack": one[None], "seam": two[None]}) == []
    (found,) = data_checks.check_embeddings({"crack": one[None], "seam": (one + two * 0.01)[None]})
    assert found.name == "prompts-alike"
    assert names(data_checks.check_embeddings({"crack": one[None] * 0})) == ["prompts-alike"]


def test_check_split__counts_images_and_names_photographs() -> None:
    assert data_checks.check_split({"train": ["a", "a", "b"], "val": ["c"]}) == []
    (found,) = data_checks.check_split({"train": ["a", "a", "b"], "val": ["c", "a", "a"]})
    assert "2 of 3" in found.evidence
    assert "data split" in found.sentence()


def test_check_copies__alike_in_two_parts() -> None:
    assert data_checks.check_copies([]) == []
    assert names(data_checks.check_copies([("a", "b")])) == ["split-leak"]


def test_check_repeats__a_few_alike_are_no_fault() -> None:
    assert data_checks.check_repeats(2, 100) == []
    assert names(data_checks.check_repeats(20, 100)) == ["photos-repeated"]


def test_check_problems__sizes_apart_from_damage() -> None:
    problems = [
        ("unreadable", "a.png: the mask is 3×3 px but its photo 6×6"),
        ("unreadable", "b.jpg: cut off"),
    ]
    assert names(data_checks.check_problems(problems, 10)) == ["masks-size", "photos-broken"]
    assert data_checks.check_problems([("degenerate", "c")], 10) == []


def test_check_boxes__of_lines_alone() -> None:
    assert names(data_checks.check_boxes({"crack": 5}, {"crack": 10}, ["crack"])) == ["labels-boxes"]
    assert list(data_checks.check_boxes({"taping area": 10}, {"taping area": 10}, ["crack"])) == []
    assert list(data_checks.check_boxes({"crack": 1}, {"crack": 10}, ["crack"])) == []


def test_check_sizes__parts_apart() -> None:
    assert data_checks.check_sizes({"train": [640] * 5, "val": [480] * 5}) == []
    assert names(data_checks.check_sizes({"train": [640] * 5, "val": [320] * 5})) == ["parts-resolution"]
    assert data_checks.check_sizes({"train": [640] * 5, "val": [64]}) == []
