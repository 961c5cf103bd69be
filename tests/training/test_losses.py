import math
from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("cv2")

from drywallqa.training import losses  # noqa: E402
from drywallqa.training.config import LossConfig  # noqa: E402
from drywallqa.training.losses import mask_loss, presence_loss  # noqa: E402

NAMES = LossConfig.model_fields["name"].annotation.__args__
KNOWN = torch.ones(2, 2)


def line(width: int = 2) -> torch.Tensor:
    truth = torch.zeros(2, 2, 24, 24)
    truth[:, 0, 10 : 10 + width, 2:22] = 1
    return truth


def loss(name: str, **numbers: float) -> Callable[..., torch.Tensor]:
    return losses.make_mask_loss(LossConfig(name=name, **numbers), 1.0, [19.0, 4.0])


@pytest.mark.parametrize("name", NAMES)
def test_losses__a_step_down_the_gradient_helps(name: str) -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 2, 24, 24, requires_grad=True)
    before = loss(name)(logits, line(), KNOWN)
    (gradient,) = torch.autograd.grad(before, logits)
    after = loss(name)(logits - 20 * gradient, line(), KNOWN)
    assert after < before


@pytest.mark.parametrize("name", NAMES)
def test_losses__a_perfect_answer_costs_less_than_background(name: str) -> None:
    chosen = loss(name)
    perfect, nothing = (line() * 2 - 1) * 12, torch.full((2, 2, 24, 24), -12.0)
    assert chosen(perfect, line(), KNOWN) < chosen(nothing, line(), KNOWN) - 0.05


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [-1e30, -1e4, 0.0, 1e4, 1e30])
def test_losses__are_finite_in_bfloat16(name: str, value: float) -> None:
    logits = torch.full((2, 2, 24, 24), value, dtype=torch.bfloat16, requires_grad=True)
    for truth in (line(), torch.zeros(2, 2, 24, 24), torch.ones(2, 2, 24, 24)):
        got = loss(name)(logits, truth, KNOWN)
        (gradient,) = torch.autograd.grad(got, logits)
        assert got.dtype == torch.float32
        assert torch.isfinite(got)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", NAMES)
def test_losses__unlabelled_pairs_count_nothing(name: str) -> None:
    logits = torch.randn(2, 2, 24, 24, requires_grad=True)
    loss(name)(logits, line(), torch.tensor([[1.0, 0.0], [1.0, 0.0]])).backward()
    assert logits.grad[:, 0].abs().sum() > 0
    assert logits.grad[:, 1].abs().sum() == 0


def test_bce_dice__is_the_loss_it_always_was() -> None:
    logits = torch.randn(2, 2, 24, 24)
    assert torch.equal(loss("bce_dice")(logits, line(), KNOWN), mask_loss(logits, line(), KNOWN, 1.0))


def test_tversky__is_dice_at_one_half() -> None:
    logits = torch.randn(2, 2, 24, 24)
    tuned = loss("bce_tversky", tversky_alpha=0.5, tversky_beta=0.5)
    assert tuned(logits, line(), KNOWN).item() == pytest.approx(
        mask_loss(logits, line(), KNOWN, 1.0).item(), rel=1e-5
    )


def test_tversky__missing_costs_more_where_beta_is_larger() -> None:
    wide, thin = (line(6) * 2 - 1) * 12, (line(1) * 2 - 1) * 12
    chosen = losses.tversky
    assert chosen(thin, line(3), 0.1, 0.9)[0, 0] > chosen(thin, line(3), 0.9, 0.1)[0, 0]
    assert chosen(wide, line(3), 0.1, 0.9)[0, 0] < chosen(wide, line(3), 0.9, 0.1)[0, 0]


def test_focal__equals_the_formula_by_hand() -> None:
    p = 1 / (1 + math.exp(-0.7))
    hand = -0.25 * (1 - p) ** 2 * math.log(p)
    got = losses.focal(torch.full((1, 1, 1, 1), 0.7), torch.ones(1, 1, 1, 1), 2.0, 0.25)
    assert got.item() == pytest.approx(hand, rel=1e-5)
    gone = losses.focal(torch.full((1, 1, 1, 1), 0.7), torch.zeros(1, 1, 1, 1), 2.0, 0.25)
    assert gone.item() == pytest.approx(-0.75 * p**2 * math.log(1 - p), rel=1e-5)


def test_foreground_weight__the_reports_figures() -> None:
    assert losses.foreground_weight(0.05, 1.0) == pytest.approx(19)
    assert losses.foreground_weight(0.05, 10.0) == pytest.approx(190)
    assert losses.foreground_weight(0.0, 2.0) == 2.0


def test_weighted__equals_the_formula_by_hand() -> None:
    logits, truth = torch.zeros(1, 2, 1, 2), torch.tensor([[[[1.0, 0.0]], [[1.0, 0.0]]]])
    got = losses.cross_entropy(logits, truth, torch.tensor([19.0, 1.0]))
    assert got[0].tolist() == pytest.approx([10 * math.log(2), math.log(2)])


def test_soft_skeleton__of_a_band_is_its_middle() -> None:
    skeleton = losses.soft_skeleton(line(5), 5)
    assert skeleton[0, 0, 12, 8:16].min() == 1
    assert skeleton[0, 0, [10, 14], 8:16].max() == 0


def test_centre_line__a_gap_costs_more_than_a_thinner_line() -> None:
    thin, broken = line(5).clone(), line(5).clone()
    thin[:, :, 10], thin[:, :, 14] = 0, 0
    broken[:, :, :, 8:14] = 0
    costs = [losses.centre_line_dice((m * 2 - 1) * 12, line(5), 6)[0, 0] for m in (thin, broken)]
    assert costs[0] < 0.5 * costs[1]


def test_boundary__far_false_marks_cost_more_than_near_ones() -> None:
    near, far = line().clone(), line().clone()
    near[:, 0, 13, 2:22], far[:, 0, 22, 2:22] = 1, 1
    costs = [losses.boundary((m * 2 - 1) * 12, line())[0, 0] for m in (line(), near, far)]
    assert costs[0] < costs[1] < costs[2]


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
def test_losses__are_finite_in_float32(value: float) -> None:
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


@pytest.mark.parametrize("name", NAMES)
def test_without_ignored__unlabelled_pixels_have_no_gradient_and_no_effect(name: str) -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 2, 24, 24, requires_grad=True)
    ignored = torch.zeros(2, 2, 24, 24, dtype=torch.bool)
    ignored[:, :, :, 12:] = True
    wrong = line()
    wrong[:, :, :, 14:] = 1 - wrong[:, :, :, 14:]
    found = []
    for truth in (line(), wrong):
        value = loss(name)(*losses.without_ignored(logits, truth, ignored), KNOWN)
        (gradient,) = torch.autograd.grad(value, logits)
        assert not gradient[:, :, :, 12:].any()
        assert gradient[:, :, :, :12].any()
        found.append(float(value.detach()))
    assert found[0] == found[1]


def test_presence_known__a_concept_that_unlabelled_pixels_may_hide_is_not_absent() -> None:
    truth, ignored = line(), torch.zeros(2, 2, 24, 24, dtype=torch.bool)
    ignored[0] = True
    ignored[0, 0] = False
    ignored[1, 0, 0, 0] = True
    assert losses.presence_known(truth, KNOWN, ignored).tolist() == [[1.0, 0.0], [1.0, 1.0]]
