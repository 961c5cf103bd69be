"""The report's failures, trained for a moment: the alarm names the cause; sound runs raise none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

torch = pytest.importorskip("torch")
from torch import Tensor, nn  # noqa: E402

from drywallqa.checks.alarms import AlarmMonitor, step_figures  # noqa: E402
from small_model import EMBEDDING, Deaf, Doubled, Small, loss  # noqa: E402

STEPS, GRACE, WINDOW = 150, 100, 20


def batches(truth_scale: float) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Bright upright bars under the first prompt, dark level ones under the second."""
    generator = torch.Generator().manual_seed(0)
    prompts = torch.eye(EMBEDDING)[:2].expand(4, 2, EMBEDDING)
    for _ in range(STEPS):
        images = torch.randn(4, 3, 32, 32, generator=generator) * 0.3
        truth = torch.zeros(4, 2, 16, 16)
        for number in range(4):
            start = int(torch.randint(0, 12, (1,), generator=generator))
            images[number, 0, :, 2 * start : 2 * start + 6] += 3
            truth[number, 0, :, start : start + 3] = truth_scale
            images[number, 1, 2 * start : 2 * start + 6] -= 3
            truth[number, 1, start : start + 3] = truth_scale
        yield images, prompts, truth


def alarms(model: nn.Module, rate: float = 1e-2, truth_scale: float = 1.0) -> list[str]:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer, watch, known = torch.optim.AdamW(trained, rate), AlarmMonitor(GRACE, WINDOW), torch.ones(4, 2)
    raised: list[str] = []
    for images, prompts, truth in batches(truth_scale):
        logits, presence = model(images, prompts)
        value = loss(logits, presence, truth, known)
        raised += [finding.name for finding in watch.step(step_figures(value.item(), logits, truth, known))]
        if not torch.isfinite(value):
            break
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    return raised


@pytest.mark.parametrize("seed", range(3))
def test_replay__a_sound_run_raises_nothing(seed: int) -> None:
    torch.manual_seed(seed)
    assert alarms(Small()) == []


def test_replay__an_ignored_prompt() -> None:
    torch.manual_seed(0)
    assert alarms(Deaf()) == ["prompt-ignored"]


def test_replay__empty_masks() -> None:
    torch.manual_seed(0)
    assert alarms(Small(), truth_scale=0) == ["masks-empty"]


def test_replay__a_rate_far_too_high() -> None:
    torch.manual_seed(0)
    raised = alarms(Small(), rate=3.0)
    assert set(raised) & {"rate-too-high", "collapse-background", "loss-not-finite", "prompt-ignored"}


def test_replay__masks_in_0_to_255() -> None:
    torch.manual_seed(0)
    assert alarms(Small(), truth_scale=255.0) == ["masks-range"]


def test_replay__a_doubled_sigmoid() -> None:
    torch.manual_seed(0)
    assert alarms(Doubled()) == ["sigmoid-twice"]
