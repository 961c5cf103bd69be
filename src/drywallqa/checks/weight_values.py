"""Check that weights are finite, not constant or zero, and no longer at their random initial values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from drywallqa.checks.findings import FaultFinding, finding_of, name_some

LEAST = 1000
"""Smallest number of weights for which a tensor's distribution is meaningful."""
ROUNDING = 1.5e-3
"""Relative tolerance for weights that were stored in 16 bits."""


def check_weights(state: Mapping[str, Tensor], *, trained: bool = True) -> list[FaultFinding]:
    """Check a table of weights.

    Args:
        state: Name → tensor.
        trained: Whether the model was trained. In a trained model, a layer with random initial values is a
            fault.
    """
    floats = {name: tensor for name, tensor in state.items() if tensor.is_floating_point() and tensor.numel()}
    broken = [name for name, tensor in floats.items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        text = f"{len(broken)} of {len(floats)} tensors are not finite: {name_some(broken)}"
        return [finding_of("weights-not-finite", text, 1.0)]
    if not trained:
        return []
    found = _check_dead(floats)
    large = {name: tensor for name, tensor in floats.items() if tensor.dim() >= 2 and tensor.numel() >= LEAST}
    start = [name for name, tensor in large.items() if is_at_start(tensor)]
    if start:
        text = f"{len(start)} of {len(large)} large weight tensors still have their initial distribution"
        weight = 0.93 if len(start) < len(large) else 0.8
        found.append(finding_of("weights-untrained", f"{text}: {name_some(start)}", weight))
    return found


def _check_dead(floats: Mapping[str, Tensor]) -> list[FaultFinding]:
    """Find matrices that are constant, and matrices in which more than a fifth of the rows are zero."""
    weights = {name: tensor for name, tensor in floats.items() if tensor.dim() >= 2 and tensor.numel() >= 16}
    dead = [name for name, tensor in weights.items() if float(tensor.max()) == float(tensor.min())]
    if dead:
        text = f"{len(dead)} of {len(weights)} weight matrices are constant: {name_some(dead)}"
        return [finding_of("weights-zero", text, 0.98)]
    zeros = {name: tensor.flatten(1).abs().amax(1) == 0 for name, tensor in weights.items()}
    shares = {name: float(rows.float().mean()) for name, rows in zeros.items() if len(rows) >= 4}
    partly = [f"{name} ({share:.0%} of its rows)" for name, share in shares.items() if share > 0.2]
    return [finding_of("weights-zero", f"weights are zero in {name_some(partly)}", 0.9)] if partly else []


def is_at_start(tensor: Tensor) -> bool:
    """Return whether a large matrix or kernel still has the initial distribution of a torch layer.

    Linear and convolution layers start with uniform weights in ±1/√fan_in (He et al., ICCV 2015, with a =
    √5). Training moves some weights out of this range and changes their standard deviation.
    """
    bound = 1 / math.sqrt(tensor[0].numel())
    values = tensor.detach().double()
    top = float(values.abs().max()) / bound
    spread = float(values.square().mean().sqrt()) / (bound / math.sqrt(3))
    slack = 4 / math.sqrt(tensor.numel())
    return 1 - 40 / tensor.numel() - ROUNDING < top <= 1 + ROUNDING and abs(spread - 1) < slack + ROUNDING


def check_optimizer(checkpoint: Mapping[str, Any], names: Sequence[str]) -> list[FaultFinding]:
    """Check that the optimizer has every trainable tensor and that each tensor received gradients.

    Args:
        checkpoint: A Lightning checkpoint.
        names: The trainable tensors, in the optimizer's order.
    """
    optimizers = checkpoint.get("optimizer_states") or []
    if not optimizers:
        return []
    groups: list[Mapping[str, Any]] = optimizers[0].get("param_groups", [])
    state: Mapping[int, Mapping[str, Any]] = optimizers[0].get("state", {})
    order = [number for group in groups for number in group["params"]]
    if len(order) < len(names):
        text = f"the optimizer has only {len(order)} of {len(names)} trainable tensors"
        return [finding_of("outside-optimizer", text, 0.97)]
    idle = [name for number, name in zip(order, names, strict=False) if not _moved(state.get(number))]
    if idle and len(idle) < len(order):
        text = f"{len(idle)} of {len(order)} trainable tensors never got a gradient: {name_some(idle)}"
        return [finding_of("no-gradient", text, 0.95)]
    still = [number for g in groups if float(g.get("max_lr", g.get("lr", 1))) == 0 for number in g["params"]]
    if still:
        text = f"the learning rate of {len(still)} of {len(order)} trained tensors is zero"
        return [finding_of("rate-too-low", text, 0.9)]
    return []


def _moved(state: Mapping[str, Any] | None) -> bool:
    """Return whether the optimizer state of a tensor shows that the tensor received a gradient."""
    return state is not None and bool(torch.as_tensor(state.get("exp_avg_sq", 1)).any())


def check_weight_average(
    trained: Mapping[str, Tensor], average: Mapping[str, Tensor], steps: int
) -> list[FaultFinding]:
    """Check that the averaged weights are close to the trained weights.

    Args:
        trained: The trained weights.
        average: The moving average of the trained weights, which is used for validation and export.
        steps: Number of optimizer steps of the run.
    """
    distances = [
        float((tensor.double() - average[name].double()).norm())
        / max(float(tensor.double().norm()), 1e-12)
        for name, tensor in trained.items()
        if name in average and tensor.is_floating_point() and tensor.dim() >= 2
    ]  # fmt: skip
    far = [distance for distance in distances if distance >= 0.45]
    if len(far) < max(3, 0.1 * len(distances)):
        return []
    text = f"after {steps} steps {len(far)} of {len(distances)} averaged tensors differ from the "
    return [
        finding_of("average-stale", f"{text}trained tensors by at least {min(far):.0%} of their norm", 0.94)
    ]
