"""The report's failures, each in a small model, and sound models that raise nothing."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
from torch import Tensor, nn  # noqa: E402

from drywallqa.checks.first_step import ProbeBatch, check_model  # noqa: E402
from small_model import EMBEDDING, WIDTH, Deaf, Doubled, Small, loss  # noqa: E402


class NewEachCall(Small):
    def make(self) -> None:
        pass

    def project(self, features: Tensor, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        return nn.Linear(WIDTH, WIDTH)(features), nn.Linear(EMBEDDING, WIDTH)(embeddings)


class NewTensorEachCall(Small):
    def project(self, features: Tensor, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        image, text = super().project(features, embeddings)
        return image @ torch.randn(WIDTH, WIDTH), text


class Lazy(Small):
    def make(self) -> None:
        self.image = None

    def project(self, features: Tensor, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        if self.image is None:
            super().make()
        return super().project(features, embeddings)


class TorchLazy(Small):
    def make(self) -> None:
        self.image, self.text = nn.LazyLinear(WIDTH), nn.LazyLinear(WIDTH)


class Unsaved(Small):
    """Projections in a plain list: trained, because the optimizer is given them, and lost when saved."""

    def make(self) -> None:
        self.projections = [nn.Linear(WIDTH, WIDTH), nn.Linear(EMBEDDING, WIDTH)]

    def project(self, features: Tensor, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        return self.projections[0](features), self.projections[1](embeddings)


class LeftOut(Small):
    """Projections that the model's own state_dict drops."""

    def state_dict(self, *arguments: object, **options: object) -> dict:  # type: ignore[override]
        whole = super().state_dict(*arguments, **options)
        return {name: value for name, value in whole.items() if not name.startswith(("image", "text"))}


class Cut(Small):
    def project(self, features: Tensor, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        image, text = super().project(features, embeddings)
        return image.detach(), text


class Loud(Small):
    def finish(self, logits: Tensor) -> Tensor:
        return logits * 1000


class StartsAtZero(Small):
    """Conditioning that starts at zero, as a sound model may."""

    def make(self) -> None:
        super().make()
        nn.init.zeros_(self.text.weight)
        nn.init.ones_(self.text.bias)


def probe(scale: float = 1.0) -> ProbeBatch:
    generator = torch.Generator().manual_seed(1)
    truth = torch.zeros(2, 2, 16, 16)
    truth[:, 0, :3] = scale
    embeddings = torch.randn(2, 2, EMBEDDING, generator=generator)
    return ProbeBatch(torch.randn(2, 3, 32, 32, generator=generator), embeddings, truth, torch.ones(2, 2))


def causes(model: nn.Module, rate: float = 1e-3, given: ProbeBatch | None = None) -> list[str]:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=rate)
    return [finding.name for finding in check_model(model, given or probe(), loss, optimizer)]


@pytest.mark.parametrize("kind", [Small, StartsAtZero])
@pytest.mark.parametrize("seed", range(3))
def test_check_model__sound_models_raise_nothing(kind: type[Small], seed: int) -> None:
    torch.manual_seed(seed)
    assert causes(kind()) == []


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        (NewEachCall, "made-in-forward"),
        (NewTensorEachCall, "made-in-forward"),
        (Lazy, "made-late"),
        (TorchLazy, "made-late"),
        (Unsaved, "outside-saved-state"),
        (LeftOut, "outside-saved-state"),
        (Doubled, "sigmoid-twice"),
        (Deaf, "prompt-ignored"),
        (Cut, "no-gradient"),
        (Loud, "loss-start"),
    ],
)
def test_check_model__names_the_cause_and_nothing_else(kind: type[Small], cause: str) -> None:
    torch.manual_seed(0)
    assert causes(kind()) == [cause]


def test_check_model__a_parameter_outside_the_optimizer_is_named() -> None:
    model = Small()
    optimizer = torch.optim.AdamW([p for n, p in model.named_parameters() if not n.startswith("text.")])
    (found,) = check_model(model, probe(), loss, optimizer)
    assert found.name == "outside-optimizer"
    assert "text.weight, text.bias" in found.evidence


def test_check_model__a_frozen_decoder_is_named() -> None:
    model = Small()
    model.requires_grad_(False)
    model.encoder.requires_grad_(True)
    assert causes(model) == ["decoder-frozen"]


def test_check_model__a_frozen_encoder_is_meant() -> None:
    model = Small()
    model.encoder.requires_grad_(False)
    assert causes(model) == []


def test_check_model__a_rate_that_overwhelms_the_weights_is_named() -> None:
    assert causes(Small(), rate=0.15) == ["rate-too-high"]


def test_check_model__the_highest_rate_of_a_schedule_counts() -> None:
    model = Small()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.15, total_steps=10)
    assert [f.name for f in check_model(model, probe(), loss, optimizer)] == ["rate-too-high"]


def test_check_model__wrong_truth_is_left_to_its_own_check() -> None:
    assert causes(Small(), given=probe(255)) == []


def test_check_model__leaves_the_model_as_it_was() -> None:
    model = Small().train()
    model.norm.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    causes(model)
    assert torch.equal(torch.rand(1), expected)
    assert model.training
    assert not model.norm.training
    assert all(parameter.grad is None for parameter in model.parameters())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


class Words(Small):
    """Is given token ids, as families are whose text tower is trained."""

    def make(self) -> None:
        super().make()
        self.words = nn.Embedding(20, EMBEDDING)

    def project(self, features: Tensor, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        return super().project(features, self.words(self.heard(embeddings)).mean(2))

    def heard(self, ids: Tensor) -> Tensor:
        return ids


class DeafToWords(Words):
    def heard(self, ids: Tensor) -> Tensor:
        return torch.full_like(ids, 3)


@pytest.mark.parametrize(("kind", "ignored"), [(Words, False), (DeafToWords, True)])
def test_check_model__token_ids_are_prompts_too(kind: type[Small], ignored: bool) -> None:
    torch.manual_seed(0)
    usual = probe()
    ids = torch.tensor([[[0, 5, 19], [0, 7, 19]]]).expand(2, 2, 3)
    found = causes(kind(), given=ProbeBatch(usual.images, ids, usual.truth, usual.known))
    assert ("prompt-ignored" in found) is ignored
    assert ignored or found == []
