"""Checks of weights as they lie in a file: finite, alive, and no longer at their random start."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from drywallqa.checks.findings import FaultFinding, finding_of, name_some

LEAST = 1000
"""Weights that a tensor must have for its distribution to say something."""
ROUNDING = 1.5e-3
"""Relative slack for weights that were stored in 16 bits."""


def check_weights(state: Mapping[str, Tensor], *, trained: bool = True) -> list[FaultFinding]:
    """Check a table of weights.

    Args:
        state: Name → tensor.
        trained: Whether the model claims to have been trained, so that layers at their start are a fault.
    """
    floats = {name: tensor for name, tensor in state.items() if tensor.is_floating_point() and tensor.numel()}
    broken = [name for name, tensor in floats.items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        what = f"{len(broken)} of {len(floats)} tensors are not finite: {name_some(broken)}"
        return [finding_of("weights-not-finite", what, 1.0)]
    return [*_dead(floats), *_untrained(floats)] if trained else []


def _dead(floats: Mapping[str, Tensor]) -> list[FaultFinding]:
    weights = {name: tensor for name, tensor in floats.items() if tensor.dim() >= 2 and tensor.numel() >= 16}
    dead = [name for name, tensor in weights.items() if float(tensor.max()) == float(tensor.min())]
    if dead:
        what = f"{len(dead)} of {len(weights)} weight matrices are one and the same number: {name_some(dead)}"
        return [finding_of("weights-zero", what, 0.98)]
    halves = []
    for name, tensor in weights.items():
        rows = tensor.flatten(1).abs().amax(1) == 0
        if len(rows) >= 4 and float(rows.float().mean()) > 0.2:
            halves.append(f"{name} ({float(rows.float().mean()):.0%} of its rows)")
    if halves:
        return [finding_of("weights-zero", f"weights are zero in {name_some(halves)}", 0.9)]
    return []


def is_at_start(tensor: Tensor) -> bool:
    """Say whether a weight tensor still has the distribution that torch's layers start from.

    Linear and convolution layers start uniform in ±1/√fan_in (He et al., ICCV 2015, with a = √5). Training
    widens that: some weights leave the range at once, and the spread changes.
    """
    if tensor.dim() < 2 or tensor.numel() < LEAST:
        return False
    bound = 1 / math.sqrt(tensor[0].numel())
    values = tensor.detach().double()
    top = float(values.abs().max()) / bound
    spread = float(values.square().mean().sqrt()) / (bound / math.sqrt(3))
    slack = 4 / math.sqrt(tensor.numel())
    return 1 - 40 / tensor.numel() - ROUNDING < top <= 1 + ROUNDING and abs(spread - 1) < slack + ROUNDING


def _untrained(floats: Mapping[str, Tensor]) -> list[FaultFinding]:
    """Find layers at their random start among others that were trained."""
    able = {name: tensor for name, tensor in floats.items() if tensor.dim() >= 2 and tensor.numel() >= LEAST}
    start = [name for name, tensor in able.items() if is_at_start(tensor)]
    if not start:
        return []
    what = (
        f"{len(start)} of {len(able)} larger weight tensors are distributed as at their random start: "
        f"{name_some(start)}"
    )
    return [finding_of("weights-untrained", what, 0.93 if len(start) < len(able) else 0.8)]


def check_optimizer(
    checkpoint: Mapping[str, Any], shapes: Sequence[tuple[str, tuple[int, ...]]]
) -> list[FaultFinding]:
    """Check that a checkpoint's optimizer knew every trainable tensor, and that gradients reached each.

    Args:
        checkpoint: As Lightning writes it.
        shapes: Names and shapes of the trainable tensors, in the optimizer's order.
    """
    optimizers = checkpoint.get("optimizer_states") or []
    if not optimizers:
        return []
    groups = optimizers[0].get("param_groups", [])
    known = sum(len(group.get("params", [])) for group in groups)
    state: Mapping[int, Mapping[str, Any]] = optimizers[0].get("state", {})
    if known < len(shapes):
        lost = _unmatched(shapes, [tuple(s["exp_avg"].shape) for s in state.values() if "exp_avg" in s])
        given = f"the optimizer was given {known} of {len(shapes)} trainable tensors"
        what = f"{given}; without it: {name_some(lost)}"
        return [finding_of("outside-optimizer", what, 0.97)]
    order = [number for group in groups for number in group["params"]]
    named = dict(zip(order, shapes, strict=False))
    idle = [
        named[number][0] if number in named else f"tensor {number}"
        for number in order
        if number not in state or not _moved(state[number])
    ]
    if idle and len(idle) < len(order):
        what = f"{len(idle)} of {len(order)} trainable tensors never got a gradient: {name_some(idle)}"
        return [finding_of("no-gradient", what, 0.95)]
    still = [group for group in groups if float(group.get("max_lr", group.get("lr", 1))) == 0]
    if still:
        count = sum(len(group["params"]) for group in still)
        return [finding_of("rate-too-low", f"the rate of {count} of {known} trained tensors is zero", 0.9)]
    return []


def _moved(state: Mapping[str, Any]) -> bool:
    squares = state.get("exp_avg_sq")
    return squares is None or bool(torch.as_tensor(squares).any())


def _unmatched(
    shapes: Sequence[tuple[str, tuple[int, ...]]], stepped: Iterable[tuple[int, ...]]
) -> list[str]:
    """Name the tensors whose shapes no state of the optimizer accounts for."""
    left = list(stepped)
    lost = []
    for name, shape in shapes:
        if shape in left:
            left.remove(shape)
        else:
            lost.append(name)
    return lost


def check_weight_average(
    trained: Mapping[str, Tensor], average: Mapping[str, Tensor], steps: int
) -> list[FaultFinding]:
    """Check that averaged weights follow the trained ones.

    Args:
        trained: The weights that were trained.
        average: Their average, which is validated and shipped.
        steps: Optimizer steps of the run.
    """
    distances = []
    for name, tensor in trained.items():
        if name in average and tensor.is_floating_point() and tensor.dim() >= 2:
            size = float(tensor.double().norm())
            distances.append(float((tensor.double() - average[name].double()).norm()) / max(size, 1e-12))
    far = [distance for distance in distances if distance >= 0.45]
    if len(far) < max(3, 0.1 * len(distances)):
        return []
    what = f"after {steps} steps {len(far)} of {len(distances)} averaged tensors are {min(far):.0%} or more "
    return [finding_of("average-stale", f"{what}of their size away from the trained ones", 0.94)]
