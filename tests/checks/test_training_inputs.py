import numpy as np
import pytest

from drywallqa.checks import training_inputs


def truth(share: float = 0.1, photos: int = 4) -> np.ndarray:
    masks = np.zeros((photos, 2, 20, 20), np.float32)
    masks[:, 0, : round(20 * share)] = 1
    return masks


ALL = np.ones((4, 2), np.float32)
BOTH = ("crack", "taping area")


def names(findings: list) -> list[str]:
    return [finding.name for finding in findings]


def test_check_truth__sound_masks_raise_nothing() -> None:
    assert training_inputs.check_truth(truth(), ALL, BOTH) == []
    assert training_inputs.check_truth(truth(0.95), ALL, BOTH) == []


@pytest.mark.parametrize(
    ("masks", "case", "said"),
    [
        (truth() * 255, "masks-range", "from 0 to 255"),
        (truth() - 0.5, "masks-range", "from -0.5"),
        (truth() * np.float32(np.nan), "masks-range", "NaN or infinite"),
        (truth(0), "masks-empty", "all 8 truth masks"),
        (truth(1), "masks-full", "100.0%"),
    ],
)
def test_check_truth__names_what_is_wrong(masks: np.ndarray, case: str, said: str) -> None:
    (found,) = training_inputs.check_truth(masks, ALL, BOTH)
    assert found.name == case
    assert said in found.evidence


def test_check_truth__what_is_not_labelled_is_not_judged() -> None:
    masks = truth()
    masks[:, 1] = 255
    assert training_inputs.check_truth(masks, np.array([[1, 0]] * 4), BOTH) == []
    assert names(training_inputs.check_truth(masks, np.zeros((4, 2)), BOTH)) == ["masks-empty"]


def test_check_images__range() -> None:
    pixels = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    assert training_inputs.check_images(pixels) == []
    assert names(training_inputs.check_images(np.abs(pixels) * 100)) == ["images-range"]
    assert names(training_inputs.check_images(pixels * 0)) == ["images-range"]
    assert names(training_inputs.check_images(pixels * np.inf)) == ["images-range"]


def test_check_phrasings__one_that_means_something_else_is_named() -> None:
    phrasings = {"crack": ("segment crack", "fissure"), "taping area": ("joint",)}
    known = {"segment crack": "crack", "joint": "taping area"}
    (found,) = training_inputs.check_phrasings(phrasings, known.get)
    assert found.name == "prompt-unknown"
    assert "'fissure' of 'crack'" in found.evidence
    assert training_inputs.check_phrasings(phrasings, (known | {"fissure": "crack"}).get) == []


def test_check_embeddings__alike_concepts_are_named() -> None:
    one, two = np.eye(4, dtype=np.float32)[:2]
    assert training_inputs.check_embeddings({"crack": one[None], "seam": two[None]}) == []
    (found,) = training_inputs.check_embeddings({"crack": one[None], "seam": (one + two * 0.01)[None]})
    assert found.name == "prompts-alike"
    assert names(training_inputs.check_embeddings({"crack": one[None] * 0})) == ["prompts-alike"]


def test_check_split__counts_images_and_names_photographs() -> None:
    assert training_inputs.check_split(["a", "a", "b"], ["c"]) == []
    (found,) = training_inputs.check_split(["a", "a", "b"], ["c", "a", "a"])
    assert "2 of 3" in found.evidence
    assert "data split" in found.sentence()
