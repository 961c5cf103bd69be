"""Alarms during training, based on a few statistics of each step. Each alarm is raised once.

An untrained model marks no pixels, so the first `grace` steps are checked only for a NaN or infinite loss.
Later, an alarm is raised only if the last `window` steps show a symptom of a fault.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from drywallqa.checks.findings import FaultFinding, finding_of

NOTHING = 1e-4
"""Share of pixels below which a prediction counts as empty."""
NEARLY_ALL = 0.97
"""Share of pixels above which a prediction counts as full."""
CONTRAST = 0.1
"""Least difference of the mean probability inside and outside the ground truth in a model that learns."""
SAME = 0.01
"""Least spread of logits over prompts, relative to their spread over the photo, if prompts have an effect."""
RISEN = 1.5
"""Largest ratio of the recent loss to the first steps' loss in a healthy run after the grace period."""


@dataclass(frozen=True)
class StepFigures:
    """Statistics of one training step.

    Attributes:
        loss: The loss.
        marked: Share of pixels predicted as foreground.
        foreground: Share of foreground pixels in pairs that have foreground; 0 if no pair has foreground.
        contrast: Mean probability inside the ground truth minus the mean probability outside. The value is
            meaningless without foreground.
        spread: Mean range of the logits over prompts, divided by the logits' standard deviation; None for one
            prompt.
        bounded: Whether all logits lie in 0–1, as if they were probabilities.
    """

    loss: float
    marked: float
    foreground: float
    contrast: float
    spread: float | None
    bounded: bool = False


def step_figures(loss: float, logits: Tensor, truth: Tensor, known: Tensor) -> StepFigures:
    """Compute the statistics of a step from logits [B,K,h,w], truth [B,K,h,w] and known labels [B,K]."""
    with torch.no_grad():
        x, labelled = logits.detach().float(), known > 0
        shown = labelled & (truth.amax((2, 3)) > 0.5)
        judged = shown if bool(shown.any()) else labelled
        probability, target = torch.sigmoid(x[judged]), truth[judged]
        inside = (probability * target).sum() / target.sum().clamp(min=1e-9)
        outside = (probability * (1 - target)).sum() / (1 - target).sum().clamp(min=1e-9)
        return StepFigures(
            loss,
            marked=float((probability > 0.5).float().mean()) if len(target) else 0.0,
            foreground=float((target > 0.5).float().mean()) if len(target) else 0.0,
            contrast=float(inside) - float(outside),
            spread=float((x.amax(1) - x.amin(1)).mean() / x.std().clamp(min=1e-9))
            if x.shape[1] > 1
            else None,
            bounded=bool(x.min() >= 0) and bool(x.max() <= 1),
        )


class AlarmMonitor:
    """Collects the statistics of training steps and raises alarms.

    Args:
        grace: Length of the grace period in steps. During the grace period, only a NaN or infinite loss
            raises an alarm.
        window: Number of recent steps that must show a symptom of a fault.

    Example:
        >>> monitor = AlarmMonitor(grace=2, window=2)
        >>> step = StepFigures(loss=1.0, marked=0.0, foreground=0.1, contrast=0.0, spread=0.5)
        >>> [finding.name for _ in range(4) for finding in monitor.step(step)]
        ['collapse-background']
    """

    def __init__(self, grace: int = 300, window: int = 100) -> None:
        self.grace, self.window = grace, window
        self.recent: deque[StepFigures] = deque(maxlen=window)
        self.first_losses: list[float] = []
        self.steps = 0
        self.raised: set[str] = set()

    def step(self, figures: StepFigures) -> list[FaultFinding]:
        """Add the statistics of a step, and return alarms that were not raised before."""
        self.steps += 1
        found = None
        if not math.isfinite(figures.loss):
            found = "loss-not-finite", f"the loss is {figures.loss} at step {self.steps}"
        else:
            self.recent.append(figures)
            if len(self.first_losses) < min(10, self.window):
                self.first_losses.append(figures.loss)
            if self.steps >= self.grace and len(self.recent) == self.window:
                found = self._judge()
        if found is None or found[0] in self.raised:
            return []
        self.raised.add(found[0])
        return [finding_of(*found)]

    def _judge(self) -> tuple[str, str] | None:
        """Return the fault that the recent steps indicate, with the evidence."""
        steps, period = list(self.recent), f"in the last {len(self.recent)} steps"
        loss, start = float(np.median([s.loss for s in steps])), float(np.median(self.first_losses))
        if loss < -1:
            return (
                "masks-range",
                f"the loss is {loss:.3g} {period}, which is impossible if the ground truth lies in 0–1",
            )
        if all(s.bounded for s in steps):
            return "sigmoid-twice", f"every output lay within 0–1 {period}"
        if loss > RISEN * start:
            return "rate-too-high", f"the loss has risen from {start:.3g} to {loss:.3g} {period}"
        shown = [s for s in steps if s.foreground]
        if not shown:
            return "masks-empty", f"no photo showed any foreground {period}"
        share = float(np.mean([s.foreground for s in shown]))
        if float(np.mean([s.contrast for s in shown])) < CONTRAST:
            truth = f"{period}, although {share:.1%} of the pixels are foreground"
            if all(s.marked <= NOTHING for s in shown):
                return "collapse-background", f"fewer than one pixel in ten thousand was marked {truth}"
            if share < 0.9 and all(s.marked >= NEARLY_ALL for s in shown):
                return "collapse-foreground", f"nearly every pixel was marked {truth}"
        spreads = [s.spread for s in steps if s.spread is not None]
        if spreads and max(spreads) < SAME:
            change = f"another prompt changed the logits by at most {max(spreads):.2%} of their spread"
            return "prompt-ignored", f"{change} {period}"
        return None
