"""Losses on logits, computed in float32 and stable for any finite logit. `loss.name` selects the mask loss.

Every mask loss has a pixel term, which also applies to pairs whose ground-truth mask is empty. Most mask
losses add a region term. In the formulas, σ is the sigmoid, x is a logit, t is the foreground share of a
pixel, and p = σ(x). In the shapes, B is the number of photos, K is the number of prompts, and h×w is the size
of the logits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from drywallqa.training.config import LossConfig
from drywallqa.training.distributed import shared_count

_PRESENT = 0.003  # a concept with more than this share of the picture is present
_SURE = -30.0  # a logit that is certain of the background: its losses and their gradients round to 0


def make_mask_loss(
    config: LossConfig, dice_weight: float, weights: Sequence[float] = ()
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Build the mask loss of a run.

    Args:
        config: Name and parameters of the loss.
        dice_weight: Factor that multiplies the Dice or Tversky term, if the loss has such a term.
        weights: Foreground weight of each concept for the weighted loss; see `foreground_weight`.

    Returns:
        Function of the logits [B,K,h,w], `truth` [B,K,h,w] and `known` [B,K] that returns a scalar; see
        `mask_loss`.
    """
    name = config.name

    def loss(logits: Tensor, truth: Tensor, known: Tensor) -> Tensor:
        if name == "focal":
            return mean_known(focal(logits, truth, config.focal_gamma, config.focal_alpha), known)
        factor = dice_weight
        # autograd sums gradients in the reverse order of these calls, so the order affects the last digits
        if name == "weighted_bce_dice":
            weight = torch.tensor(weights, device=logits.device)
            pixels = mean_known(cross_entropy(logits, truth, weight), known)
            region = tversky(logits, truth, 0.5, 0.5)
        elif name == "bce_tversky":
            region = tversky(logits, truth, config.tversky_alpha, config.tversky_beta)
            pixels = mask_loss(logits, truth, known, 0.0)
        elif name == "bce_dice_cldice":
            region = centre_line_dice(logits, truth, config.skeleton_steps)
            pixels, factor = mask_loss(logits, truth, known, dice_weight), config.region_weight
        else:
            pixels, factor = mask_loss(logits, truth, known, dice_weight), config.region_weight
            if name == "bce_dice":
                return pixels
            region = boundary(logits, truth)
        return pixels + factor * mean_filled(region, truth, known)

    return loss


def mask_loss(logits: Tensor, truth: Tensor, known: Tensor, dice_weight: float) -> Tensor:
    """Binary cross-entropy plus soft Dice, averaged over labelled pairs.

    Dice loss = 1 - (2Σσt + 1)/(Σσ + Σt + 1) (Milletari et al., V-Net, 3DV 2016,
    https://arxiv.org/abs/1606.04797). Pairs with an empty ground-truth mask have no Dice term,
    because their Dice improves only when the last false-positive pixel disappears.

    Args:
        logits: [B,K,h,w].
        truth: Foreground share of each pixel in [0,1], [B,K,h,w].
        known: 1 for each labelled concept, otherwise 0, [B,K].
        dice_weight: Factor that multiplies the Dice term.
    """
    logits = logits.float()  # convert once, so that gradients are summed in float32
    cross = mean_known(cross_entropy(logits, truth), known)
    probability = torch.sigmoid(logits)
    overlap = 2 * (probability * truth).sum((2, 3)) + 1
    dice = 1 - overlap / (probability.sum((2, 3)) + truth.sum((2, 3)) + 1)
    return cross + dice_weight * mean_filled(dice, truth, known)


def presence_loss(logits: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Binary cross-entropy of presence logits [B,K].

    A concept counts as present if it covers more than 0.3 % of the picture, and as absent if its
    ground-truth mask is empty. Pairs between these limits are ignored, for example if a crop cuts off most of
    the concept.
    """
    share = truth.mean((2, 3))
    present = (share > _PRESENT).float()
    clear = known * ((share > _PRESENT) | (share < 1e-6)).float()
    return mean_known(
        functional.binary_cross_entropy_with_logits(logits.float(), present, reduction="none"), clear
    )


def without_ignored(logits: Tensor, truth: Tensor, ignored: Tensor) -> tuple[Tensor, Tensor]:
    """Replace pixels that nobody labelled by certain, correct background, which has no loss or gradient.

    Args:
        logits: [B,K,h,w].
        truth: [B,K,h,w].
        ignored: [B,K,h,w], True at the pixels to replace.
    """
    return logits.masked_fill(ignored, _SURE), truth.masked_fill(ignored, 0.0)


def presence_known(truth: Tensor, known: Tensor, ignored: Tensor) -> Tensor:
    """Return which pairs [B,K] have a known presence: the concept may be hidden in ignored pixels.

    Args:
        truth: [B,K,h,w], without ignored pixels.
        known: [B,K], 1 if the concept is labelled.
        ignored: [B,K,h,w], True at pixels that nobody labelled.
    """
    hidden = ignored.any(-1).any(-1) & (truth.mean((2, 3)) <= _PRESENT)
    return known * (~hidden).float()


def mean_known(values: Tensor, known: Tensor) -> Tensor:
    """Average values [B,K] over all labelled pairs."""
    return (values * known).sum() / shared_count(known.sum())


def mean_filled(values: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Average values [B,K] over all labelled pairs whose ground-truth mask is not empty."""
    return mean_known(values, known * (truth.sum((2, 3)) > 1).float())


def cross_entropy(logits: Tensor, truth: Tensor, weight: Tensor | None = None) -> Tensor:
    """BCE = -[w t log σ(x) + (1-t) log(1-σ(x))], mean over pixels: [B,K].

    King and Zeng, Logistic Regression in Rare Events Data (Political Analysis 9, 2001), eq. 16.

    Args:
        logits: [B,K,h,w].
        truth: [B,K,h,w].
        weight: Foreground weight w of each concept [K]; 1 if None.
    """
    factor = None if weight is None else weight.float()[:, None, None]
    return functional.binary_cross_entropy_with_logits(
        logits.float(), truth.float(), pos_weight=factor, reduction="none"
    ).mean((2, 3))


def foreground_weight(share: float, pos_weight: float) -> float:
    """Return the foreground weight `pos_weight`·(1-s)/s at foreground share s.

    The weight is high if foreground is rare. At s = 5 %, which is typical of crack photos, the weight is 19
    with `pos_weight` 1 and 190 with `pos_weight` 10.
    """
    return pos_weight * (1 - share) / share if 0 < share < 1 else pos_weight


def focal(logits: Tensor, truth: Tensor, gamma: float, alpha: float) -> Tensor:
    """Focal loss FL = -α t (1-p)^γ log p - (1-α)(1-t) p^γ log(1-p), mean over pixels: [B,K].

    Lin et al., Focal Loss for Dense Object Detection (ICCV 2017), https://arxiv.org/abs/1708.02002, eq. 5.
    The factors are computed as exp(γ log σ(∓x)). This avoids powers of values that were rounded to 0.
    """
    x, t = logits.float(), truth.float()
    log_p, log_q = functional.logsigmoid(x), functional.logsigmoid(-x)
    foreground = alpha * t * torch.exp(gamma * log_q) * log_p
    background = (1 - alpha) * (1 - t) * torch.exp(gamma * log_p) * log_q
    return -(foreground + background).mean((2, 3))


def tversky(logits: Tensor, truth: Tensor, alpha: float, beta: float) -> Tensor:
    """Tversky loss 1 - (Σpt + ½)/(Σpt + α Σp(1-t) + β Σ(1-p)t + ½): [B,K].

    If α = β = ½, this is the Dice loss.
    Salehi et al., Tversky loss function for image segmentation (MLMI 2017), https://arxiv.org/abs/1706.05721.
    With β above α, a false negative costs more than a false positive.
    """
    p, t = torch.sigmoid(logits.float()), truth.float()
    hit = (p * t).sum((2, 3))
    false, missed = (p * (1 - t)).sum((2, 3)), ((1 - p) * t).sum((2, 3))
    return 1 - (hit + 0.5) / (hit + alpha * false + beta * missed + 0.5)


def centre_line_dice(logits: Tensor, truth: Tensor, steps: int) -> Tensor:
    """Loss clDice: 1 - 2TS/(T+S), T = (Σ S_p t + 1)/(ΣS_p + 1), S = (Σ S_t p + 1)/(ΣS_t + 1): [B,K].

    S_p and S_t are soft skeletons of the prediction and the ground truth. Shit et al., clDice (CVPR 2021),
    https://arxiv.org/abs/2003.07311, eq. 3 and algorithm 1.
    """
    p, t = torch.sigmoid(logits.float()), truth.float()
    lines, true_lines = soft_skeleton(p, steps), soft_skeleton(t, steps)
    precision = ((lines * t).sum((2, 3)) + 1) / (lines.sum((2, 3)) + 1)
    sensitivity = ((true_lines * p).sum((2, 3)) + 1) / (true_lines.sum((2, 3)) + 1)
    return 1 - 2 * precision * sensitivity / (precision + sensitivity)


def soft_skeleton(share: Tensor, steps: int) -> Tensor:
    """Skeletonise masks [B,K,h,w] with `steps` soft erosions. Shapes up to 2·`steps` px wide become lines."""

    def erode(x: Tensor) -> Tensor:
        rows = -functional.max_pool2d(-x, (3, 1), 1, (1, 0))
        return torch.minimum(rows, -functional.max_pool2d(-x, (1, 3), 1, (0, 1)))

    def detail(x: Tensor) -> Tensor:
        return functional.relu(x - functional.max_pool2d(erode(x), 3, 1, 1))

    skeleton = detail(share)
    for _ in range(steps):
        share = erode(share)
        delta = detail(share)
        skeleton = skeleton + functional.relu(delta - skeleton * delta)
    return skeleton


def boundary(logits: Tensor, truth: Tensor) -> Tensor:
    """Boundary loss, the mean of p·φ over pixels: [B,K]. φ is the signed distance to the true outline.

    Inside the outline, φ is negative. Distances are divided by the longer side of the grid. Kervadec et al.,
    Boundary loss for highly unbalanced segmentation (MIDL 2019), https://arxiv.org/abs/1812.07032, eq. 5.
    """
    masks = (truth.detach().cpu().numpy() > 0.5).reshape(-1, *truth.shape[2:])
    phi = torch.from_numpy(np.stack([_signed_distance(mask) for mask in masks]))
    return (torch.sigmoid(logits.float()) * phi.to(logits.device).reshape(truth.shape)).mean((2, 3))


def _signed_distance(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    if not mask.any() or mask.all():
        return np.zeros(mask.shape, np.float32)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray((outside - inside) / max(mask.shape), np.float32)
