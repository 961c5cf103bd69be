"""Validation gates masks by presence only where a run trains it."""

import numpy as np
import pytest
import torch
from tests import tiny_runs
from torch import Tensor, nn

from drywallqa.datasets import dataset
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.training.phrase_embeddings import PhraseEmbeddings, embed_phrases
from drywallqa.training.task import MONITORED
from drywallqa.training.validation import ValidationPart


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


@pytest.mark.parametrize("gated", [False, True])
def test_validation__gates_masks_by_presence_where_it_is_trained(
    data: dataset.Dataset, phrases: PhraseEmbeddings, gated: bool
) -> None:
    validation = ValidationPart(data.part("val"), phrases, Letterbox(64), gated=gated)
    figures = validation(Doubtful())
    shown = [s for s in data.part("val") if s.labels.get("crack")]
    share = np.mean([data.read_mask(s, "crack").mean() for s in shown])
    assert figures["val/crack/iou"] == pytest.approx(0.0 if gated else share, abs=1e-6)
    assert (figures[MONITORED] == 0) == gated
