"""Checks of a model's parameters and its outputs for one small batch, before the first training step.

The checks run the model in evaluation mode and then restore its previous mode. They do not change batch
statistics, gradients or the random state of the run. If the first call creates a layer, the layer stays in
the model and is reported.

Shapes: B photos, K prompts, D embedding width, h×w grid of the logits.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median_high
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.nn.parameter import is_lazy

from drywallqa.checks.findings import FaultFinding, finding_of, name_some

Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""Maps mask logits, presence logits, ground truth and the mask of known labels to the training loss."""

SURE = 3 * math.log(2)
"""Initial BCE above which a model may be faulty: three times the BCE of a constant probability of 0.5."""
LARGE_STEP = 0.3
"""Largest plausible ratio of the learning rate to the median weight size.

An Adam step changes each weight by about the learning rate."""


@dataclass(frozen=True)
class ProbeBatch:
    """A small batch of training data.

    Attributes:
        images: [B,3,H,W], normalised.
        embeddings: [B,K,D], or token ids [B,K,L] if the text tower is trained.
        truth: Ground truth [B,K,h,w].
        known: [B,K], 1 if the concept is labelled in the photo.
    """

    images: Tensor
    embeddings: Tensor
    truth: Tensor
    known: Tensor


@dataclass(frozen=True)
class ForwardCall:
    """The outputs of a forward call, the parameters that the call created, and its autograd leaf tensors."""

    logits: Tensor
    presence: Tensor
    made: dict[str, nn.Parameter]
    leaves: dict[int, Tensor]


def check_model(
    model: nn.Module, probe: ProbeBatch, loss: Loss, optimizer: torch.optim.Optimizer
) -> list[FaultFinding]:
    """Check a model before it is trained with this optimizer. Causes are listed before their consequences."""
    lazy = [name for name, parameter in model.named_parameters() if is_lazy(parameter)]
    with _evaluation_mode(model):
        first, second = _call(model, probe), _call(model, probe)
        findings = _check_made(model, first, second, lazy)
        if findings:
            return findings  # if the model changes between calls, the other checks are meaningless
        findings += _check_reach(model, optimizer, second)
        findings += _check_gradients(model, loss(second.logits, second.presence, probe.truth, probe.known))
        with torch.no_grad():
            findings += _check_sigmoid(model, probe, second.logits) or _check_start(second.logits, probe)
            findings += _check_prompt(model, probe, second.logits)
    return findings + _check_rates(optimizer)


@contextmanager
def _evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put every module into evaluation mode, and restore the modes and the random state afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.random.fork_rng(), torch.enable_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _call(model: nn.Module, probe: ProbeBatch) -> ForwardCall:
    """Run the model once. Record the parameters that this creates and the leaves of the autograd graph."""
    made: dict[str, nn.Parameter] = {}

    def note(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if parameter is not None:
            made[f"{type(module).__name__}.{name} {tuple(parameter.shape)}"] = parameter

    hook = register_module_parameter_registration_hook(note)
    try:
        logits, presence = model(probe.images, probe.embeddings)
    finally:
        hook.remove()
    nodes: list[Any] = [output.grad_fn for output in (logits, presence) if output.grad_fn is not None]
    leaves: dict[int, Tensor] = {}
    visited = set(nodes)
    while nodes:
        node = nodes.pop()
        if hasattr(node, "variable"):
            leaves[id(node.variable)] = node.variable
        for following, _ in node.next_functions:
            if following is not None and following not in visited:
                visited.add(following)
                nodes.append(following)
    return ForwardCall(logits, presence, made, leaves)


def _check_made(
    model: nn.Module, first: ForwardCall, second: ForwardCall, lazy: list[str]
) -> list[FaultFinding]:
    """Check that no forward call creates parameters."""
    own = {id(parameter) for parameter in model.parameters()}
    fleeting = [
        f"a tensor {tuple(leaf.shape)}"
        for key, leaf in second.leaves.items()
        if key not in own and key not in first.leaves
    ]
    if second.made or fleeting:
        return [finding_of("made-in-forward", f"a second call created {name_some(second.made or fleeting)}")]
    change = float((first.logits - second.logits).detach().abs().max())
    if not change <= 1e-3 * max(1.0, float(first.logits.detach().abs().max())):
        text = f"the logits of the same photos differ by {change:.3g} between two calls"
        return [finding_of("made-in-forward", text)]
    late = [*first.made, *lazy]
    return [finding_of("made-late", f"created by the first call: {name_some(late)}")] if late else []


def _check_reach(model: Any, optimizer: torch.optim.Optimizer, call: ForwardCall) -> Iterator[FaultFinding]:
    """Check that every trained tensor is optimised and saved, and that the decoder is trained."""
    given = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    named = {id(parameter): name for name, parameter in model.named_parameters()}
    hidden = {key: f"a tensor {tuple(leaf.shape)}" for key, leaf in call.leaves.items() if key not in named}
    saved = {value.data_ptr() for value in model.state_dict().values() if isinstance(value, Tensor)}
    names = named | hidden
    lost = [names[key] for key, leaf in call.leaves.items() if leaf.data_ptr() not in saved]
    if lost:
        yield finding_of("outside-saved-state", f"not in state_dict: {name_some(lost)}")
    trainable = {id(p): name for name, p in model.named_parameters() if p.requires_grad}
    forgotten = [*(name for key, name in trainable.items() if key not in given), *hidden.values()]
    if forgotten and not lost:
        text = f"{len(forgotten)} of {len(trainable)} trainable tensors are in no parameter group"
        yield finding_of("outside-optimizer", f"{text}: {name_some(forgotten)}")
    decoder = named.keys() - {id(parameter) for parameter in model.encoder_parameters()}
    if decoder and not decoder & trainable.keys():
        text = f"none of the {len(decoder)} tensors outside the encoder requires a gradient"
        yield finding_of("decoder-frozen", text)


def _check_gradients(model: nn.Module, loss: Tensor) -> list[FaultFinding]:
    """Check that every trainable parameter gets a gradient from the loss."""
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not trainable:
        return []
    if not loss.requires_grad:
        return [finding_of("no-gradient", "the loss depends on no trainable parameter")]
    gradients = torch.autograd.grad(loss, list(trainable.values()), allow_unused=True)
    missing = [name for name, gradient in zip(trainable, gradients, strict=True) if gradient is None]
    text = f"{len(missing)} of {len(trainable)} trainable tensors get no gradient: {name_some(missing)}"
    return [finding_of("no-gradient", text)] if missing else []


def _check_sigmoid(model: nn.Module, probe: ProbeBatch, logits: Tensor) -> list[FaultFinding]:
    """Check that some output lies outside 0–1, either for the photos or for 20 times their pixel values."""
    strong = model(probe.images * 20, probe.embeddings)[0]
    ranges = [(float(output.min()), float(output.max())) for output in (logits, strong)]
    if not all(low >= 0 and high <= 1 for low, high in ranges):
        return []
    listed = " and ".join(f"{low:.3f}–{high:.3f}" for low, high in ranges)
    text = f"the model's output stays within 0–1 ({listed}), even if pixel values are multiplied by 20"
    return [finding_of("sigmoid-twice", text)]


def _check_start(logits: Tensor, probe: ProbeBatch) -> list[FaultFinding]:
    """Compare the initial BCE with the BCE of a model that predicts a constant probability.

    If a share s of the pixels is foreground, a constant prediction p has the BCE -(s log p + (1-s) log(1-p)).
    The mean predicted probability is used as p.
    """
    labelled = probe.known > 0
    x, t = logits.double()[labelled], probe.truth.double()[labelled]
    if not x.numel() or float(t.min()) < 0 or float(t.max()) > 1:
        return []  # `check_truth` reports a wrong ground truth
    start = float(functional.binary_cross_entropy_with_logits(x, t))
    share, guess = float(t.mean()), min(max(float(torch.sigmoid(x).mean()), 1e-6), 1 - 1e-6)
    expected = -(share * math.log(guess) + (1 - share) * math.log(1 - guess))
    if start <= max(SURE, 2 * expected):
        return []
    text = f"BCE starts at {start:.3g}; a model that ignores the photo would start at {expected:.3g}"
    return [finding_of("loss-start", text)]


def _check_prompt(model: nn.Module, probe: ProbeBatch, logits: Tensor) -> list[FaultFinding]:
    """Check that the logits depend on the prompt's embedding, at least after a small change to the weights.

    A new decoder may ignore the prompt before training, so a second trial uses a copy of the model with
    slightly perturbed weights. Each trial compares the batch's embeddings with embeddings of the same norm
    but random directions. If the prompts are token ids, each prompt's first word is replaced instead.
    """
    generator = torch.Generator().manual_seed(0)
    if probe.embeddings.is_floating_point():
        noise = torch.randn(probe.embeddings.shape, generator=generator).to(probe.embeddings)
        other = functional.normalize(noise, dim=-1) * probe.embeddings.norm(dim=-1, keepdim=True)
    else:
        other = probe.embeddings.clone()
        other[..., 1] = torch.where(other[..., 1] > 0, other[..., 1] - 1, 1)
    if _differ(logits, model(probe.images, other)[0]):
        return []
    changed = copy.deepcopy(model)
    for parameter in changed.parameters():
        parameter.add_(torch.randn(parameter.shape, generator=generator).to(parameter) * 1e-3)
    one, two = (changed(probe.images, embeddings)[0] for embeddings in (probe.embeddings, other))
    if _differ(one, two):
        return []
    return [finding_of("prompt-ignored", "another prompt's embedding does not change any logit")]


def _differ(one: Tensor, other: Tensor) -> bool:
    change = float((one - other).detach().abs().mean())
    return not change <= 1e-6 * max(float(one.detach().std()), 1e-6)


def _check_rates(optimizer: torch.optim.Optimizer) -> list[FaultFinding]:
    """Compare Adam's learning rates with the size of the weights.

    An Adam step changes each weight by about the learning rate, so a rate close to the size of the weights
    destroys the weights. For a schedule with warm-up, the highest learning rate is checked.
    """
    adam = isinstance(optimizer, torch.optim.Adam | torch.optim.AdamW)
    for group in optimizer.param_groups if adam else ():
        sizes = [float(p.detach().square().mean().sqrt()) for p in group["params"] if p.dim() > 1]
        usual = median_high([size for size in sizes if size > 0] or [math.inf])
        rate = float(group.get("max_lr", group["lr"]))
        if rate > LARGE_STEP * usual:
            text = f"a step of {rate:g} is {rate / usual:.0%} of the median weight size, {usual:.2g}"
            return [finding_of("rate-too-high", text)]
    return []
