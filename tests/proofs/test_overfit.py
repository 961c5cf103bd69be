"""Families can learn: from tiny random weights to four real photos by heart, each under its prompt alone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("lightning", reason="the train extra is not installed")

import torch

from drywallqa.bundle.bundle import DEFAULT, HEAD, ConceptSettings
from drywallqa.cli import main
from drywallqa.datasets import dataset as datasets
from drywallqa.evaluation.measure import Evaluator, measure_pairs
from drywallqa.inference.segmenter import Segmenter
from drywallqa.inference.wrapped_model import WrappedModel
from drywallqa.models import registry
from drywallqa.models.contract import TrainedLayers
from drywallqa.models.torch_backend import TorchBackend
from drywallqa.sampling.pairs import TrainingPairs
from drywallqa.sampling.settings import DataConfig
from drywallqa.text.text_side import TextSide
from drywallqa.training.losses import mask_loss, presence_loss

ROOT = Path(__file__).parent.parent.parent
DATA = Path(os.environ.get("DRYWALLQA_DATA", ROOT.parent / "shared" / "data")) / "drywall-join-detect.coco"
ANNOTATIONS = "_annotations.coco.json"
FACTS = {"taping area": "segment taping area", "crack": "segment crack"}

pytestmark = [
    pytest.mark.prove,
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the taping photos are not here; set DRYWALLQA_DATA"),
    pytest.mark.skipif(not (DEFAULT / HEAD).is_file(), reason="the bundled model is not here"),
]

# options, side in px, rate, steps at most
FAMILIES = {
    "compact": ({"width": 32}, 64, 4e-3, 300),
    "clipseg": ({"size": "tiny"}, 96, 3e-3, 300),
    "clip-cnn": ({"size": "tiny"}, 96, 2e-3, 300),
    "clip-unet": ({"size": "tiny", "width": 16}, 64, 3e-3, 300),
    "sam-clip": ({"size": "tiny"}, 128, 2e-3, 600),
}
LOOK_EVERY = 25
ENOUGH, LITTLE = 0.85, 0.01
STARTS = 3
"""Random weights that are tried: a start may end on a plateau, as the sums of another processor or of another
number of threads lead it there (CLIPSeg, one start of two, at a Dice of .78)."""


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> datasets.Dataset:
    """Four photographs of the export, imported as a user would."""
    place = tmp_path_factory.mktemp("four")
    source = DATA / "train"
    export = json.loads((source / ANNOTATIONS).read_text(encoding="utf-8"))
    photographs: dict[str, dict[str, Any]] = {}
    for image in sorted(export["images"], key=lambda image: image["file_name"]):
        boxes = [a["bbox"] for a in export["annotations"] if a["image_id"] == image["id"]]
        if boxes and all(min(box[2:]) > 20 for box in boxes):
            photographs.setdefault(image["file_name"].split("_jpg")[0], image)
    export["images"] = list(photographs.values())[:: max(1, len(photographs) // 4)][:4]
    kept = {image["id"] for image in export["images"]}
    export["annotations"] = [a for a in export["annotations"] if a["image_id"] in kept]
    folder = place / "export" / "train"
    folder.mkdir(parents=True)
    for image in export["images"]:
        (folder / image["file_name"]).write_bytes((source / image["file_name"]).read_bytes())
    (folder / ANNOTATIONS).write_text(json.dumps(export), encoding="utf-8")
    verb = ["data", "import", str(place / "export"), "--out", str(place / "data"), "--set", "taping"]
    assert main([*verb, "--concept", "drywall-join=taping area", "--absent", "crack"]) == 0
    known = datasets.load_dataset(place / "data")
    assert len(known) == 4
    return known.with_samples([datasets.replace(sample, split="train") for sample in known])


def batch_of(four: datasets.Dataset, model: Any, window: Any) -> dict[str, Any]:
    """All four photos, whole, each under both prompts."""
    phrases = {concept: np.ones((1, 2), np.float32) for concept in FACTS}
    config = DataConfig(window=window.size, augment=False)
    samples = {s.image_id: s for s in four}
    items = [
        TrainingPairs(four.with_samples([sample]), phrases, config, 0, 0, model.stride, window)[0]
        for sample in samples.values()
    ]
    return {name: torch.stack([item[name] for item in items]) for name in ("image", "truth", "known")}


def prompts_of(model: Any) -> Any:
    if model.own_text:
        return model.tokenize(list(FACTS.values()))
    return torch.from_numpy(TextSide.load(DEFAULT).embed(list(FACTS.values())))


def learn(model: Any, batch: dict[str, Any], rate: float, steps: int) -> Iterator[int]:
    """Train everything; stops to be looked at now and then."""
    model.freeze(TrainedLayers(frozen_stages=0, vision_layers=99, text_layers=99))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.1  # from random weights statistics have a long way to go
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], rate, weight_decay=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps, pct_start=0.1)
    prompts = prompts_of(model)
    for step in range(1, steps + 1):
        model.train()
        logits, presence = model(batch["image"], prompts)
        loss = mask_loss(logits, batch["truth"], batch["known"], 1.0)
        (loss + 0.2 * presence_loss(presence, batch["truth"], batch["known"])).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        if step % LOOK_EVERY == 0:
            yield step


def measure(model: Any, window: Any, four: datasets.Dataset) -> tuple[float, float]:
    """The lowest Dice of the four photos, and the largest share marked under the other prompt."""
    with torch.no_grad():
        embeddings = prompts_of(model)
        embeddings = model.embed_ids(embeddings) if model.own_text else embeddings
    backend = TorchBackend(model, lambda _: embeddings.numpy())
    levels = dict.fromkeys(FACTS, ConceptSettings(presence_threshold=0.0))
    segmenter = Segmenter(WrappedModel("in training", window, levels, backend))
    questions = segmenter.ask_for((prompt, concept) for concept, prompt in FACTS.items())
    dices, marked = [], []
    for pair in measure_pairs(Evaluator(segmenter, four, questions)):
        counts = pair.counts
        if pair.absent:
            marked.append(counts.fp / (counts.fp + counts.tn))
        else:
            dices.append(2 * counts.tp / (2 * counts.tp + counts.fp + counts.fn))
    assert len(dices) == len(marked) == 4
    return min(dices), max(marked)


@pytest.mark.parametrize("name", FAMILIES)
def test_overfit__four_taping_photos(name: str, four: datasets.Dataset) -> None:
    for start in range(STARTS):
        dice, marked = overfit(name, four, start)
        if dice > ENOUGH and marked < LITTLE:
            break
    assert dice > ENOUGH
    assert marked < LITTLE


def overfit(name: str, four: datasets.Dataset, start: int) -> tuple[float, float]:
    """Train a family from random weights; see `measure` for what is returned."""
    options, side, rate, steps = FAMILIES[name]
    torch.manual_seed(start)
    model = registry.create_model(name, **options)
    window = registry.find_family(name, options).letterbox(side)
    dice, marked, taken = 0.0, 1.0, 0
    for step in learn(model, batch_of(four, model, window), rate, steps):
        taken = step
        dice, marked = measure(model.eval(), window, four)
        print(f"{name}: start {start}, step {step}, Dice {dice:.3f}, other {marked:.2%}", flush=True)
        if dice > ENOUGH + 0.01 and marked < LITTLE / 2:
            break
    print(f"{name}: Dice {dice:.3f} of the worst photo, {marked:.2%} under the other prompt, {taken} steps")
    return dice, marked
