from types import SimpleNamespace

import numpy as np
import pytest

from drywallqa.diagnosis.file_checks import check_text_side, compare_logits
from drywallqa.imaging.letterbox import Letterbox


def grey_wall(seed: int) -> np.ndarray:
    """A photo whose three channels differ by a grey level or two."""
    generator = np.random.default_rng(seed)
    grey = generator.integers(0, 240, (64, 64, 1))
    return (grey + generator.integers(0, 3, (64, 64, 3))).astype(np.uint8)


def model(image: np.ndarray, share: float = 1.0) -> np.ndarray:
    """Logits [2,h,w] that look at red and green; prompts are told apart as far as they are heard."""
    logits = np.stack([image[0] - 1, image[0] + image[1]])
    middle = logits.mean(axis=0)
    return middle + share * (logits - middle)


IMAGES = [Letterbox(64).fit(grey_wall(seed))[0] for seed in range(3)]


def test_compare__a_graph_that_rounds_otherwise_is_the_same_model() -> None:
    assert compare_logits(IMAGES, lambda image: model(image) * np.float32(1 + 1e-6), model) == []


@pytest.mark.parametrize(
    ("case", "graph"),
    [
        ("channel-order", lambda image: model(image[::-1])),  # hardly seen on a grey wall
        ("output-scale", lambda image: model(image) * 4),
        ("output-inverted", lambda image: -model(image)),
        ("prompts-exchanged", lambda image: model(image)[::-1]),
        ("prompt-ignored", lambda image: model(image, 0.6)),
        ("weights-unlike-graph", lambda image: model(image) ** 2),
    ],
)
def test_compare__names_how_the_graph_differs(case: str, graph) -> None:
    (found,) = compare_logits(IMAGES, graph, model)
    assert found.name == case


def test_check_text__templates_are_written_out() -> None:
    asked: list[str] = []

    def understand(prompt: str) -> str | None:
        asked.append(prompt)
        return "crack" if "[" not in prompt else None

    bundle = SimpleNamespace(concepts={"crack": None}, text=SimpleNamespace(understand=understand))
    phrasings = {"crack": ["[hairline|thin] crack"]}
    assert check_text_side(bundle, phrasings, "the bundle's phrasings") == []
    assert asked == ["crack", "hairline crack", "thin crack"]
