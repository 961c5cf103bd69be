"""Checks of a model before its first step: what it is made of, and what it does with one small batch.

The model is probed in evaluation mode and left as it was: no statistics, no gradients, no random numbers are
taken from the run. (A layer that is made in the first call stays, of course; that is what is looked for.)

Shapes: B photos, K prompts, D embedding width, h×w the logits' grid.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.nn.parameter import is_lazy

from drywallqa.checks.findings import FaultFinding, finding_of, name_some

Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""From mask logits, presence logits, truth and known to the loss that is trained on."""

SURE = 3 * math.log(2)
"""BCE above which a start is suspicious: three times that of an answer of one half everywhere."""
LARGE_STEP = 0.3
"""Rate over a weight's usual size; a step of Adam changes a weight by about the rate."""


@dataclass(frozen=True)
class ProbeBatch:
    """A small batch.

    Attributes:
        images: [B,3,H,W], normalised.
        embeddings: [B,K,D], or token ids [B,K,L] where the text tower is trained.
        truth: [B,K,h,w].
        known: [B,K], 1 where labelled.
    """

    images: Tensor
    embeddings: Tensor
    truth: Tensor
    known: Tensor


@dataclass(frozen=True)
class ForwardCall:
    """What one forward call gave and made."""

    logits: Tensor
    presence: Tensor
    made: dict[str, nn.Parameter]
    leaves: dict[int, Tensor]


def check_model(
    model: nn.Module, probe: ProbeBatch, loss: Loss, optimizer: torch.optim.Optimizer
) -> list[FaultFinding]:
    """Probe a model that is about to be trained with this optimizer; causes before their consequences."""
    lazy = [name for name, parameter in model.named_parameters() if is_lazy(parameter)]
    with evaluation_mode(model):
        first, second = call_model(model, probe), call_model(model, probe)
        findings = check_made(model, first, second, lazy)
        if findings:
            return findings  # outputs of a model that changes from call to call tell nothing more
        findings += check_reach(model, optimizer, second)
        findings += check_gradients(model, loss(second.logits, second.presence, probe.truth, probe.known))
        with torch.no_grad():
            doubled = check_sigmoid(model, probe, second.logits)
            findings += doubled or check_start(second.logits, probe)
            findings += check_prompt(model, probe, second.logits)
    return findings + check_rates(optimizer)


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put every module into evaluation mode and back into its own; random numbers come from elsewhere."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.random.fork_rng(), torch.enable_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def call_model(model: nn.Module, probe: ProbeBatch) -> ForwardCall:
    """Run the model once, and note which parameters are made on the way."""
    made: dict[str, nn.Parameter] = {}

    def note(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if parameter is not None:
            made[f"{type(module).__name__}.{name} {tuple(parameter.shape)}"] = parameter

    hook = register_module_parameter_registration_hook(note)
    try:
        logits, presence = model(probe.images, probe.embeddings)
    finally:
        hook.remove()
    return ForwardCall(logits, presence, made, leaves_of((logits, presence)))


def leaves_of(outputs: Iterable[Tensor]) -> dict[int, Tensor]:
    """Find every tensor that gradients would reach, by walking the autograd graph."""
    waiting: list[Any] = [output.grad_fn for output in outputs if output.grad_fn is not None]
    seen, leaves = set(waiting), {}
    while waiting:
        node = waiting.pop()
        tensor = getattr(node, "variable", None)
        if tensor is not None:
            leaves[id(tensor)] = tensor
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                waiting.append(following)
    return leaves


def check_made(
    model: nn.Module, first: ForwardCall, second: ForwardCall, lazy: list[str]
) -> list[FaultFinding]:
    """Check that no parameter is made in a call, neither in each nor in the first."""
    own = {id(parameter) for parameter in model.parameters()}
    fleeting = [
        f"a tensor {tuple(leaf.shape)}"
        for key, leaf in second.leaves.items()
        if key not in own and key not in first.leaves
    ]
    if second.made or fleeting:
        return [
            finding_of("made-in-forward", f"a second call made anew: {name_some(second.made or fleeting)}")
        ]
    change = float((first.logits - second.logits).detach().abs().max())
    if not change <= 1e-3 * max(1.0, float(first.logits.detach().abs().max())):
        what = f"the same photos give logits that differ by {change:.3g} from one call to the next"
        return [finding_of("made-in-forward", what)]
    if first.made or lazy:
        return [finding_of("made-late", f"made by the first call: {name_some([*first.made, *lazy])}")]
    return []


def check_reach(model: nn.Module, optimizer: torch.optim.Optimizer, done: ForwardCall) -> list[FaultFinding]:
    """Check that all that is trained is optimised and saved, and that the decoder is trained at all."""
    findings = []
    given = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    named = {id(parameter): name for name, parameter in model.named_parameters()}
    saved = {value.data_ptr() for value in model.state_dict().values() if isinstance(value, Tensor)}
    lost = [
        named.get(key, f"a tensor {tuple(leaf.shape)}")
        for key, leaf in done.leaves.items()
        if leaf.data_ptr() not in saved
    ]
    if lost:
        findings.append(finding_of("outside-saved-state", f"not in state_dict: {name_some(lost)}"))
    trainable = {key: name for key, name in named.items() if model.get_parameter(name).requires_grad}
    hidden = [f"a tensor {tuple(leaf.shape)}" for key, leaf in done.leaves.items() if key not in named]
    forgotten = [*(name for key, name in trainable.items() if key not in given), *hidden]
    if forgotten and not lost:
        what = (
            f"{len(forgotten)} of {len(trainable)} trainable tensors are in no group: {name_some(forgotten)}"
        )
        findings.append(finding_of("outside-optimizer", what))
    decoder = [key for key in named if key not in _encoder_keys(model)]
    if decoder and not any(key in trainable for key in decoder):
        what = f"none of the {len(decoder)} tensors outside the encoder requires a gradient"
        findings.append(finding_of("decoder-frozen", what))
    return findings


def _encoder_keys(model: nn.Module) -> set[int]:
    listed = getattr(model, "encoder_parameters", None)
    encoder = getattr(model, "encoder", None)
    if listed is not None:
        return {id(parameter) for parameter in listed()}
    return {id(parameter) for parameter in encoder.parameters()} if isinstance(encoder, nn.Module) else set()


def check_gradients(model: nn.Module, loss: Tensor) -> list[FaultFinding]:
    """Check that every trainable parameter gets a gradient from this loss."""
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not trainable:
        return []
    if not loss.requires_grad:
        return [finding_of("no-gradient", "the loss depends on no trainable parameter")]
    gradients = torch.autograd.grad(loss, list(trainable.values()), allow_unused=True)
    missing = [name for name, gradient in zip(trainable, gradients, strict=True) if gradient is None]
    if not missing:
        return []
    what = f"{len(missing)} of {len(trainable)} trainable tensors get no gradient: {name_some(missing)}"
    return [finding_of("no-gradient", what)]


def check_sigmoid(model: nn.Module, probe: ProbeBatch, logits: Tensor) -> list[FaultFinding]:
    """Check that outputs can leave 0–1, for photos as they are and twenty times as strong."""
    strong = model(probe.images * 20, probe.embeddings)[0]
    ranges = [(float(output.min()), float(output.max())) for output in (logits, strong)]
    if not all(low >= 0 and high <= 1 for low, high in ranges):
        return []
    told = " and ".join(f"{low:.3f}–{high:.3f}" for low, high in ranges)
    what = f"the model's output stays within 0–1 ({told}), even for photos twenty times as strong"
    return [finding_of("sigmoid-twice", what)]


def check_start(logits: Tensor, probe: ProbeBatch) -> list[FaultFinding]:
    """Hold the first BCE against that of an answer which knows nothing of the photo.

    Guessing the mean probability p everywhere at a foreground share s costs -(s log p + (1-s) log(1-p)).
    """
    labelled = probe.known > 0
    x, t = logits.double()[labelled], probe.truth.double()[labelled]
    if not x.numel() or float(t.min()) < 0 or float(t.max()) > 1:
        return []  # the truth itself is wrong, which its own check says
    start = float(functional.binary_cross_entropy_with_logits(x, t))
    share, guess = float(t.mean()), float(torch.sigmoid(x).mean())
    guess = min(max(guess, 1e-6), 1 - 1e-6)
    expected = -(share * math.log(guess) + (1 - share) * math.log(1 - guess))
    if start <= max(SURE, 2 * expected):
        return []
    what = f"BCE starts at {start:.3g}, where {expected:.3g} is expected of a model that knows nothing"
    return [finding_of("loss-start", what)]


def check_prompt(model: nn.Module, probe: ProbeBatch, logits: Tensor) -> list[FaultFinding]:
    """Check that another embedding gives other logits, now or after a small change of the weights.

    A decoder whose conditioning starts at zero is sound, hence the second look, at a copy.
    """
    generator = torch.Generator().manual_seed(0)
    other = _another(probe.embeddings, generator)
    if _differ(logits, model(probe.images, other)[0]):
        return []
    changed = copy.deepcopy(model)
    for parameter in changed.parameters():
        parameter.add_(torch.randn(parameter.shape, generator=generator).to(parameter) * 1e-3)
    one, two = (changed(probe.images, embeddings)[0] for embeddings in (probe.embeddings, other))
    if _differ(one, two):
        return []
    what = "logits under another prompt's embedding are the same to the last digit"
    return [finding_of("prompt-ignored", what)]


def _another(prompts: Tensor, generator: torch.Generator) -> Tensor:
    """Make embeddings of the same length in other directions; of token ids, those of another first word."""
    if not prompts.is_floating_point():
        other = prompts.clone()
        other[..., 1] = torch.where(prompts[..., 1] > 0, prompts[..., 1] - 1, 1)
        return other
    noise = torch.randn(prompts.shape, generator=generator).to(prompts)
    turned: Tensor = functional.normalize(noise, dim=-1) * prompts.norm(dim=-1, keepdim=True)
    return turned


def _differ(one: Tensor, other: Tensor) -> bool:
    change = float((one - other).detach().abs().mean())
    return not change <= 1e-6 * max(float(one.detach().std()), 1e-6)


def check_rates(optimizer: torch.optim.Optimizer) -> list[FaultFinding]:
    """Hold an Adam's rates against the size of the weights that they change.

    A step of Adam changes each weight by about the rate, so a rate near the weights' own size leaves nothing
    of them. Schedules that warm up are judged by their highest rate.
    """
    if not isinstance(optimizer, torch.optim.Adam | torch.optim.AdamW):
        return []
    findings = []
    for group in optimizer.param_groups:
        sizes = [float(p.detach().square().mean().sqrt()) for p in group["params"] if p.dim() > 1]
        sizes = sorted(size for size in sizes if size > 0)
        if not sizes:
            continue
        rate, usual = float(group.get("max_lr", group["lr"])), sizes[len(sizes) // 2]
        if rate > LARGE_STEP * usual:
            what = f"a step of {rate:g} is {rate / usual:.0%} of a usual weight, {usual:.2g}"
            findings.append(finding_of("rate-too-high", what))
    return findings[:1]
