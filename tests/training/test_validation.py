"""Validation asks for a belief in presence only of runs that learn one."""

import numpy as np
import pytest
import torch
from tests import tiny_runs
from torch import Tensor, nn

from drywallqa.datasets import dataset
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.training.phrase_embeddings import PhraseEmbeddings, embed_phrases
from drywallqa.training.schedules import MONITORED
from drywallqa.training.validation import PRESENCE, ValidationPart, presence_asked


class Doubtful(nn.Module):
    """Marks everything, and believes in nothing."""

    stride = 1

    def encode_image(self, images: Tensor) -> tuple[Tensor, ...]:
        return (images,)

    def decode(self, features: tuple[Tensor, ...], embeddings: Tensor) -> tuple[Tensor, Tensor]:
        photos, (height, width) = len(features[0]), features[0].shape[2:]
        prompts = embeddings.shape[-2]
        return torch.full((photos, prompts, height, width), 5.0), torch.full((photos, prompts), -5.0)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dataset.Dataset:
    return dataset.load_dataset(tiny_runs.render(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def phrases(data: dataset.Dataset) -> PhraseEmbeddings:
    return embed_phrases(data.concepts, most=4)


@pytest.mark.parametrize(("weight", "seen"), [(0.0, True), (0.2, False)])
def test_validation__gates_by_a_belief_that_is_learnt(
    data: dataset.Dataset, phrases: PhraseEmbeddings, weight: float, seen: bool
) -> None:
    validation = ValidationPart(data.part("val"), phrases, Letterbox(64), presence_asked(weight))
    figures = validation(Doubtful())
    shown = [s for s in data.part("val") if s.labels.get("crack")]
    share = np.mean([data.read_mask(s, "crack").mean() for s in shown])
    assert figures["val/crack/iou"] == pytest.approx(share if seen else 0.0, abs=1e-6)
    assert (figures[MONITORED] > 0) == seen


def test_presence_asked__is_half_where_it_is_learnt() -> None:
    assert (presence_asked(0.2), presence_asked(0)) == (PRESENCE, 0.0)
