"""The classifier in numpy, on clouds of points."""

import numpy as np

from drywallqa.text.prompt_reading import ConceptClassifier, choose_refusal_threshold, fit_classifier


def _clouds(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    centres = np.array([[3.0, 0.0], [0.0, 3.0], [-3.0, -3.0]])
    labels = np.repeat([0, 1, 2], [60, 60, 600])
    return (centres[labels] + rng.normal(size=(len(labels), 2))).astype(np.float32), labels


def test_fit__separates_what_it_has_not_seen() -> None:
    model = fit_classifier(*_clouds(), ["crack", "seam"], 0.5)
    features, labels = _clouds(seed=1)
    truth = [["crack", "seam", None][label] for label in labels]
    right = np.mean(
        [
            found == meant
            for found, meant in zip(model.decide(model.probabilities(features)), truth, strict=True)
        ]
    )
    assert right > 0.97


def test_fit__probabilities_sum_to_one_even_far_away() -> None:
    model = fit_classifier(*_clouds(), ["crack", "seam"], 0.5)
    rows = model.probabilities(np.array([[1e4, -1e4], [0.0, 0.0]], np.float32))
    np.testing.assert_allclose(rows.sum(axis=1), 1.0, rtol=1e-5)


def test_decide__below_the_threshold_means_nothing() -> None:
    model = ConceptClassifier(("crack",), np.array([[1.0, 0.0]], np.float32), np.zeros(2, np.float32), 0.8)
    rows = model.probabilities(np.array([[0.5], [3.0]], np.float32))
    assert model.decide(rows) == [None, "crack"]


def test_choose_threshold__keeps_out_the_doubtful() -> None:
    model = ConceptClassifier(("crack",), np.array([[1.0, 0.0]], np.float32), np.zeros(2, np.float32), 0.5)
    features = np.array([[0.9], [0.8], [2.5], [2.6]], np.float32)  # probabilities .71, .69, .92, .93
    threshold = choose_refusal_threshold(model, features, np.array([1, 1, 0, 0]))
    assert 0.71 < threshold < 0.92
