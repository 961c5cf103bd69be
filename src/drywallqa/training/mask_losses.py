"""The mask losses that `loss.name` chooses between; all take logits, and are computed in float32.

Every loss has a part per pixel, which also teaches pairs whose truth is empty; most add a part per region.
σ is the sigmoid, x a logit, t the share of foreground, p = σ(x). Shapes: B photos, K prompts, h×w the grid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from drywallqa.training.config import LossConfig
from drywallqa.training.distributed import shared_count
from drywallqa.training.losses import mask_loss

MaskLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From logits [B,K,h,w], truth [B,K,h,w] and known [B,K] to a scalar."""

EXTREME_WEIGHT = 50.0
"""Weight of foreground from which a run is warned: most of what it marks will be false."""


def make_mask_loss(config: LossConfig, dice_weight: float, weights: Sequence[float] = ()) -> MaskLoss:
    """Make the mask loss of a run.

    Args:
        config: Its name and numbers.
        dice_weight: Factor of the Dice part, where there is one.
        weights: Each concept's weight of foreground, for the weighted loss; see `foreground_weights`.
    """
    extra = config.region_weight

    def bce_dice(logits: Tensor, truth: Tensor, known: Tensor) -> Tensor:
        return mask_loss(logits, truth, known, dice_weight)

    def weighted(logits: Tensor, truth: Tensor, known: Tensor) -> Tensor:
        weight = torch.tensor(weights, device=logits.device)
        return mean_known(weighted_cross_entropy(logits, truth, weight), known) + dice_weight * mean_filled(
            tversky(logits, truth, 0.5, 0.5), truth, known
        )

    def focal_alone(logits: Tensor, truth: Tensor, known: Tensor) -> Tensor:
        return mean_known(focal(logits, truth, config.focal_gamma, config.focal_alpha), known)

    def bce_tversky(logits: Tensor, truth: Tensor, known: Tensor) -> Tensor:
        region = tversky(logits, truth, config.tversky_alpha, config.tversky_beta)
        return mask_loss(logits, truth, known, 0.0) + dice_weight * mean_filled(region, truth, known)

    def with_centre_line(logits: Tensor, truth: Tensor, known: Tensor) -> Tensor:
        region = centre_line_dice(logits, truth, config.skeleton_steps)
        return bce_dice(logits, truth, known) + extra * mean_filled(region, truth, known)

    def with_boundary(logits: Tensor, truth: Tensor, known: Tensor) -> Tensor:
        return bce_dice(logits, truth, known) + extra * mean_filled(boundary(logits, truth), truth, known)

    return {
        "bce_dice": bce_dice,
        "weighted_bce_dice": weighted,
        "focal": focal_alone,
        "bce_tversky": bce_tversky,
        "bce_dice_cldice": with_centre_line,
        "bce_dice_boundary": with_boundary,
    }[config.name]


def mean_known(values: Tensor, known: Tensor) -> Tensor:
    """Average [B,K] over labelled pairs."""
    return (values * known).sum() / shared_count(known.sum())


def mean_filled(values: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Average [B,K] over labelled pairs whose truth is not empty; regions of nothing have no overlap."""
    filled = known * (truth.sum((2, 3)) > 1).float()
    return (values * filled).sum() / shared_count(filled.sum())


def foreground_weights(shares: Mapping[str, float], pos_weight: float) -> dict[str, float]:
    """Weigh foreground by its rarity: `pos_weight`·(1-s)/s at a foreground share s.

    At s = 5 %, as in photos of cracks, that is 19, and 190 with a `pos_weight` of 10.
    """
    return {c: pos_weight * (1 - s) / s if 0 < s < 1 else pos_weight for c, s in shares.items()}


def weighted_cross_entropy(logits: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """BCE = -[w t log σ(x) + (1-t) log(1-σ(x))], mean over pixels: [B,K].

    King and Zeng, Logistic Regression in Rare Events Data (Political Analysis 9, 2001), eq. 16.

    Args:
        logits: [B,K,h,w].
        truth: [B,K,h,w].
        weight: w of each concept [K].
    """
    cross = functional.binary_cross_entropy_with_logits(
        logits.float(), truth.float(), pos_weight=weight.float()[:, None, None], reduction="none"
    )
    return cross.mean((2, 3))


def focal(logits: Tensor, truth: Tensor, gamma: float, alpha: float) -> Tensor:
    """FL = -α t (1-p)^γ log p - (1-α)(1-t) p^γ log(1-p), mean over pixels: [B,K].

    Lin et al., Focal Loss for Dense Object Detection (ICCV 2017), https://arxiv.org/abs/1708.02002, eq. 5.
    The factors are taken as exp(γ log σ(∓x)), so that no power of a rounded 0 is formed.
    """
    x, t = logits.float(), truth.float()
    log_p, log_q = functional.logsigmoid(x), functional.logsigmoid(-x)
    there = alpha * t * torch.exp(gamma * log_q) * log_p
    gone = (1 - alpha) * (1 - t) * torch.exp(gamma * log_p) * log_q
    return -(there + gone).mean((2, 3))


def tversky(logits: Tensor, truth: Tensor, alpha: float, beta: float) -> Tensor:
    """1 - (Σpt + ½)/(Σpt + α Σp(1-t) + β Σ(1-p)t + ½): [B,K]; at α = β = ½ it is the Dice loss.

    Salehi et al., Tversky loss function for image segmentation (MLMI 2017), https://arxiv.org/abs/1706.05721.
    β above α prefers marking too much to missing something.
    """
    p, t = torch.sigmoid(logits.float()), truth.float()
    hit = (p * t).sum((2, 3))
    false, missed = (p * (1 - t)).sum((2, 3)), ((1 - p) * t).sum((2, 3))
    return 1 - (hit + 0.5) / (hit + alpha * false + beta * missed + 0.5)


def centre_line_dice(logits: Tensor, truth: Tensor, steps: int) -> Tensor:
    """1 - 2TS/(T+S) with T = (Σ S_p t + 1)/(ΣS_p + 1) and S = (Σ S_t p + 1)/(ΣS_t + 1): [B,K].

    S_p and S_t are soft skeletons of prediction and truth. Shit et al., clDice (CVPR 2021),
    https://arxiv.org/abs/2003.07311, eq. 3 and algorithm 1.
    """
    p, t = torch.sigmoid(logits.float()), truth.float()
    lines, true_lines = soft_skeleton(p, steps), soft_skeleton(t, steps)
    precision = ((lines * t).sum((2, 3)) + 1) / (lines.sum((2, 3)) + 1)
    sensitivity = ((true_lines * p).sum((2, 3)) + 1) / (true_lines.sum((2, 3)) + 1)
    return 1 - 2 * precision * sensitivity / (precision + sensitivity)


def soft_skeleton(share: Tensor, steps: int) -> Tensor:
    """Thin [B,K,h,w] by `steps` soft erosions; widths up to twice that become lines."""

    def erode(x: Tensor) -> Tensor:
        rows = -functional.max_pool2d(-x, (3, 1), 1, (1, 0))
        return torch.minimum(rows, -functional.max_pool2d(-x, (1, 3), 1, (0, 1)))

    def opened(x: Tensor) -> Tensor:
        return functional.max_pool2d(erode(x), 3, 1, 1)

    skeleton = functional.relu(share - opened(share))
    for _ in range(steps):
        share = erode(share)
        delta = functional.relu(share - opened(share))
        skeleton = skeleton + functional.relu(delta - skeleton * delta)
    return skeleton


def boundary(logits: Tensor, truth: Tensor) -> Tensor:
    """Mean over pixels of p·φ, φ the distance to the truth's outline, negative inside it: [B,K].

    Distances are in units of the grid's longer side. Kervadec et al., Boundary loss for highly unbalanced
    segmentation (MIDL 2019), https://arxiv.org/abs/1812.07032, eq. 5.
    """
    distances = np.stack(
        [_signed(mask) for mask in (truth.detach().cpu().numpy() > 0.5).reshape(-1, *truth.shape[2:])]
    )
    phi = torch.from_numpy(distances).to(logits.device).reshape(truth.shape)
    return (torch.sigmoid(logits.float()) * phi).mean((2, 3))


def _signed(
    mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    if not mask.any() or mask.all():
        return np.zeros(mask.shape, np.float32)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray((outside - inside) / max(mask.shape), np.float32)
