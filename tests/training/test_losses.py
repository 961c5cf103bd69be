import pytest

torch = pytest.importorskip("torch")

from drywallqa.training.losses import mask_loss, presence_loss  # noqa: E402


def test_mask_loss__equals_the_formula_by_hand() -> None:
    logits = torch.tensor([[[[2.0, -1.0]]]])
    truth = torch.tensor([[[[1.0, 1.0]]]])
    probability = torch.sigmoid(logits)
    cross = -torch.log(probability).mean()
    dice = 1 - (2 * probability.sum() + 1) / (probability.sum() + 2 + 1)
    got = mask_loss(logits, truth, torch.ones(1, 1), 0.5)
    assert got.item() == pytest.approx((cross + 0.5 * dice).item(), rel=1e-6)


def test_mask_loss__unlabelled_pairs_count_nothing() -> None:
    logits = torch.randn(2, 2, 8, 8, requires_grad=True)
    truth = (torch.rand(2, 2, 8, 8) > 0.5).float()
    known = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    mask_loss(logits, truth, known, 1.0).backward()
    assert logits.grad[:, 0].abs().sum() > 0
    assert logits.grad[:, 1].abs().sum() == 0


@pytest.mark.parametrize("value", [-1e4, 1e4])
def test_losses__are_finite_for_extreme_logits(value: float) -> None:
    logits = torch.full((1, 1, 4, 4), value)
    for truth in (torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)):
        assert torch.isfinite(mask_loss(logits, truth, torch.ones(1, 1), 1.0))
        assert torch.isfinite(presence_loss(logits[:, :, 0, 0], truth, torch.ones(1, 1)))


def test_presence_loss__slivers_count_nothing() -> None:
    truth = torch.zeros(1, 2, 100, 100)
    truth[0, 0, 0, :5] = 1  # 0.05 %: neither there nor gone
    logits = torch.zeros(1, 2, requires_grad=True)
    presence_loss(logits, truth, torch.ones(1, 2)).backward()
    assert logits.grad[0, 0] == 0
    assert logits.grad[0, 1] > 0
