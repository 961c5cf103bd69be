"""Losses on logits, stable for any finite logit.

Shapes: B photos, K prompts, h×w the logits' grid.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from drywallqa.training.distributed import shared_count


def mask_loss(logits: Tensor, truth: Tensor, known: Tensor, dice_weight: float) -> Tensor:
    """Binary cross-entropy plus soft Dice, averaged over labelled pairs.

    BCE = -[t log σ(x) + (1-t) log(1-σ(x))], mean over pixels. Dice loss = 1 - (2Σσt + 1)/(Σσ + Σt + 1)
    (Milletari et al., V-Net, 3DV 2016, https://arxiv.org/abs/1606.04797), on pairs whose truth is not empty:
    on an empty truth it would reward nothing but the last pixel.

    Args:
        logits: [B,K,h,w].
        truth: Share of foreground in [0,1], [B,K,h,w].
        known: [B,K], 1 where the concept was labelled.
        dice_weight: Factor of the Dice part.
    """
    logits = logits.float()
    cross = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean((2, 3))
    probability = torch.sigmoid(logits)
    overlap = 2 * (probability * truth).sum((2, 3)) + 1
    dice = 1 - overlap / (probability.sum((2, 3)) + truth.sum((2, 3)) + 1)
    filled = known * (truth.sum((2, 3)) > 1).float()
    cross_mean = (cross * known).sum() / shared_count(known.sum())
    dice_mean = (dice * filled).sum() / shared_count(filled.sum())
    return cross_mean + dice_weight * dice_mean


def presence_loss(logits: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Binary cross-entropy of presence logits [B,K].

    A pair counts as present above 0.3 % of the picture and as absent where nothing is left; a sliver at the
    border of a crop is neither and counts nothing.
    """
    share = truth.mean((2, 3))
    present = (share > 0.003).float()
    clear = known * ((share > 0.003) | (share < 1e-6)).float()
    cross = functional.binary_cross_entropy_with_logits(logits.float(), present, reduction="none")
    return (cross * clear).sum() / shared_count(clear.sum())
