"""Alarms during training, from a few figures a step; each is raised once, in words.

A model that has just begun marks nothing, so nothing is judged before `grace` steps, and then only what held
in each of the last `window` steps.
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
"""Probability inside the truth minus outside it from which a model is learning, whatever its threshold."""
SAME = 0.01
"""Spread of logits over prompts, relative to that over the picture, below which prompts do nothing."""
RISEN = 1.5
"""Loss over that of the first steps which no sound run shows after its grace."""


@dataclass(frozen=True)
class StepFigures:
    """Figures of one training step.

    Attributes:
        loss: The loss.
        marked: Share of pixels predicted as foreground.
        foreground: Share of pixels that are foreground, over pairs where there is any; 0 where there is none.
        contrast: Mean probability inside the truth minus outside it; 0 where there is no truth.
        spread: Spread of logits over prompts, relative to that over the picture; None for a single prompt.
        bounded: Whether all logits lie in 0–1, as probabilities do.
    """

    loss: float
    marked: float
    foreground: float
    contrast: float
    spread: float | None
    bounded: bool = False


def step_figures(loss: float, logits: Tensor, truth: Tensor, known: Tensor) -> StepFigures:
    """Take a step's figures from logits [B,K,h,w], truth [B,K,h,w] and known [B,K]."""
    with torch.no_grad():
        x, labelled = logits.detach().float(), known > 0
        pairs = labelled & (truth.amax((2, 3)) > 0.5)
        bounded = bool(x.min() >= 0) and bool(x.max() <= 1)
        spread = None
        if x.shape[1] > 1:
            change = (x.amax(1) - x.amin(1)).mean()
            spread = float(change / x.std().clamp(min=1e-9))
        if not bool(pairs.any()):
            marked = float((x[labelled] > 0).float().mean()) if bool(labelled.any()) else 0.0
            return StepFigures(loss, marked, 0.0, 0.0, spread, bounded)
        filled, target = torch.sigmoid(x[pairs]), truth[pairs]
        inside = float((filled * target).sum() / target.sum())
        outside = float((filled * (1 - target)).sum() / (1 - target).sum().clamp(min=1e-9))
        share = float((target > 0.5).float().mean())
        marked = float((filled > 0.5).float().mean())
        return StepFigures(loss, marked, share, inside - outside, spread, bounded)


class AlarmMonitor:
    """Collects steps and says what is wrong.

    Args:
        grace: Steps in which nothing but a loss that is not finite is judged.
        window: Steps over which a symptom has to hold.

    Example:
        >>> watch = Watch(grace=2, window=2)
        >>> [f.name for s in range(4) for f in watch.step(Step(1.0, 0.0, 0.1, 0.0, 0.5))]
        ['collapse-background']
    """

    def __init__(self, grace: int = 300, window: int = 100) -> None:
        self.grace = grace
        self.recent: deque[StepFigures] = deque(maxlen=window)
        self.start: list[float] = []
        self.seen = 0
        self.raised: set[str] = set()

    def step(self, step: StepFigures) -> list[FaultFinding]:
        """Take one step's figures; return alarms that were not raised before."""
        self.seen += 1
        if not math.isfinite(step.loss):
            return self._once([finding_of("loss-not-finite", f"the loss is {step.loss} at step {self.seen}")])
        self.recent.append(step)
        if len(self.start) < min(10, self.recent.maxlen or 10):
            self.start.append(step.loss)
        if self.seen < self.grace or len(self.recent) < (self.recent.maxlen or 0):
            return []
        return self._once(self._judge())

    def _once(self, findings: list[FaultFinding]) -> list[FaultFinding]:
        new = [finding for finding in findings if finding.name not in self.raised]
        self.raised |= {finding.name for finding in new}
        return new

    def _judge(self) -> list[FaultFinding]:
        steps, count = list(self.recent), f"in the last {len(self.recent)} steps"
        loss, start = float(np.median([s.loss for s in steps])), float(np.median(self.start))
        if loss < -1:
            return [
                finding_of("masks-range", f"the loss is {loss:.3g} {count}, which truth in 0–1 cannot give")
            ]
        if all(s.bounded for s in steps):
            return [finding_of("sigmoid-twice", f"every output lay within 0–1 {count}")]
        if loss > RISEN * start:
            return [finding_of("rate-too-high", f"the loss has risen from {start:.3g} to {loss:.3g} {count}")]
        filled = [s for s in steps if s.foreground]
        if not filled:
            return [finding_of("masks-empty", f"no photo showed any foreground {count}")]
        share = float(np.mean([s.foreground for s in filled]))
        contrast = float(np.mean([s.contrast for s in filled]))
        if contrast < CONTRAST and all(s.marked <= NOTHING for s in filled):
            what = f"not one pixel in ten thousand was marked {count}, where {share:.1%} are foreground"
            return [finding_of("collapse-background", what)]
        if contrast < CONTRAST and share < 0.9 and all(s.marked >= NEARLY_ALL for s in filled):
            what = f"nearly every pixel was marked {count}, where {share:.1%} are foreground"
            return [finding_of("collapse-foreground", what)]
        spreads = [s.spread for s in steps if s.spread is not None]
        if spreads and max(spreads) < SAME:
            what = f"another prompt changed logits by at most {max(spreads):.2%} of their spread {count}"
            return [finding_of("prompt-ignored", what)]
        return []
