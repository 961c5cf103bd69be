"""How rare each concept's pixels are in the training set: counted once, kept in the run's folder."""

from __future__ import annotations

import json
from pathlib import Path

from drywallqa.datasets.dataset import Dataset
from drywallqa.files import write_whole
from drywallqa.training.config import LossConfig
from drywallqa.training.mask_losses import EXTREME_WEIGHT, foreground_weights
from drywallqa.training.run_log import RunLog

NAME = "foreground.json"


def foreground_shares(dataset: Dataset, concepts: list[str]) -> dict[str, float]:
    """Measure each concept's mean share of foreground over the photos that show it; 0 where none does."""
    shares = {}
    for concept in concepts:
        shown = [float(dataset.read_mask(s, concept).mean()) for s in dataset if s.labels.get(concept)]
        shares[concept] = sum(shown) / len(shown) if shown else 0.0
    return shares


def weights_for(
    dataset: Dataset, concepts: list[str], config: LossConfig, run: Path, log: RunLog
) -> list[float]:
    """Return each concept's weight of foreground, measured or read from the run's folder, and log it.

    Nothing is measured where the loss has no use for it.
    """
    if config.name != "weighted_bce_dice":
        return []
    path = run / NAME
    if path.is_file():
        shares = json.loads(path.read_text(encoding="utf-8"))
    else:
        shares = foreground_shares(dataset, concepts)
        write_whole(path, (json.dumps(shares, indent=1) + "\n").encode())
    weights = foreground_weights(shares, config.pos_weight)
    for concept, weight in weights.items():
        told = (
            f"'{concept}' is {shares[concept]:.2%} of the photos that show it; its pixels weigh {weight:.1f}"
        )
        log.write("check", told, concept=concept, share=shares[concept], weight=weight)
        if weight > EXTREME_WEIGHT:
            large = (
                f"a weight of {weight:.0f} for '{concept}' trains a model that marks far too much; "
                f"loss.pos_weight={config.pos_weight:g} comes on top of the foreground share, leave it at 1"
            )
            log.write("alarm", large, concept=concept, weight=weight)
            print(f"warning: {large}", flush=True)
    return [weights[concept] for concept in concepts]
