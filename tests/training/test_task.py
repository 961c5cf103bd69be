import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from drywallqa.training.config import OptimisationConfig  # noqa: E402
from drywallqa.training.task import make_schedule  # noqa: E402


def rates(kind: str, steps: int = 20) -> list[float]:
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=0.01)
    driven = make_schedule(optimizer, OptimisationConfig(schedule=kind), steps)["scheduler"]
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        driven.step()
    return seen


def test_one_cycle__goes_up_and_down() -> None:
    seen = rates("one_cycle")
    top = seen.index(max(seen))
    assert 0 < top < 5
    assert max(seen) == pytest.approx(0.01, rel=0.05)
    assert seen[-1] < 1e-3


def test_cosine__only_goes_down() -> None:
    seen = rates("cosine")
    assert seen[0] == 0.01
    assert seen == sorted(seen, reverse=True)
    assert seen[10] == pytest.approx(0.005)


def test_plateau__falls_where_iou_does_not_rise() -> None:
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=0.01)
    made = make_schedule(optimizer, OptimisationConfig(schedule="plateau", plateau_patience=1), 20)
    for iou in (0.1, 0.2, 0.2, 0.2):
        made["scheduler"].step(iou)
    assert optimizer.param_groups[0]["lr"] == 0.005


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, 0),
        ({"schedule": "plateau"}, 5),
        ({"schedule": "plateau", "patience": 0}, 0),
        ({"patience": 3}, 3),
    ],
)
def test_patience__fits_the_schedule(settings: dict, expected: int) -> None:
    assert OptimisationConfig(**settings).early_stopping == expected
