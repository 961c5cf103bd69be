import dataclasses

import pytest

torch = pytest.importorskip("torch")

from drywallqa.checks.alarms import AlarmMonitor, StepFigures, step_figures  # noqa: E402

SOUND = StepFigures(loss=0.5, marked=0.08, foreground=0.1, contrast=0.6, spread=1.0)


def alarms(*steps: StepFigures, grace: int = 20, window: int = 10) -> list[str]:
    watch = AlarmMonitor(grace, window)
    return [finding.name for step in steps for finding in watch.step(step)]


def changed(**figures: float) -> StepFigures:
    return dataclasses.replace(SOUND, **figures)


def test_watch__a_sound_run_raises_nothing() -> None:
    beginning = [changed(loss=1.2, marked=0.0, contrast=0.01 * n, spread=0.001) for n in range(15)]
    rare = [changed(foreground=0.0, contrast=0.0, marked=0.0)] * 5
    assert alarms(*beginning, *[SOUND] * 50, *rare, *[SOUND] * 50) == []


def test_watch__nothing_marked_yet_but_learning_is_no_collapse() -> None:
    assert alarms(*[changed(marked=0.0, contrast=0.3)] * 60) == []


@pytest.mark.parametrize(
    ("step", "name"),
    [
        (changed(marked=0.0, contrast=0.0), "collapse-background"),
        (changed(marked=1.0, contrast=0.0), "collapse-foreground"),
        (changed(spread=1e-5), "prompt-ignored"),
        (changed(foreground=0.0, contrast=0.0), "masks-empty"),
    ],
)
def test_watch__each_symptom_raises_its_alarm_once(step: StepFigures, name: str) -> None:
    assert alarms(*[step] * 19) == []
    assert alarms(*[step] * 100) == [name]


def test_watch__a_loss_that_rises_names_the_rate() -> None:
    assert alarms(*[SOUND] * 15, *[changed(loss=3.0)] * 15) == ["rate-too-high"]


def test_watch__a_loss_that_is_not_finite_waits_for_nothing() -> None:
    assert alarms(SOUND, changed(loss=float("nan"))) == ["loss-not-finite"]


def test_measure__figures_by_hand() -> None:
    truth = torch.zeros(1, 2, 2, 2)
    truth[0, 0, 0] = 1
    logits = torch.full((1, 2, 2, 2), -100.0)
    logits[0, 0, 0, 0] = 100
    step = step_figures(0.5, logits, truth, torch.ones(1, 2))
    assert (step.loss, step.marked, step.foreground, step.contrast) == (0.5, 0.25, 0.5, 0.5)
    assert step.spread == pytest.approx(50 / logits.std().item())
    empty = step_figures(0.5, logits[:, :1], truth[:, 1:], torch.ones(1, 1))
    assert (empty.marked, empty.foreground, empty.spread) == (0.25, 0.0, None)
