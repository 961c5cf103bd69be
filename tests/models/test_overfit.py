"""Each family learns four real photos from tiny random weights, and leaves the other prompt empty."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from drywallqa.models import registry
from drywallqa.models.contract import Training
from drywallqa.training.losses import mask_loss, presence_loss

DATA = Path(os.environ.get("DRYWALLQA_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
OPTIONS = {"compact": {"width": 32}, "clip-unet": {"size": "tiny", "width": 16}}
PROMPTS = ["segment taping area", "segment crack"]


@pytest.mark.prove
@pytest.mark.data
@pytest.mark.parametrize("name", [n for n, f in registry.FAMILIES.items() if f.trainable])
def test_overfit__four_taping_photos(name):
    folder = DATA / "drywall-join-detect.coco" / "valid"
    if not folder.is_dir():
        pytest.skip(f"the real data sets are not there; set DRYWALLQA_DATA (looked in {DATA})")
    images, truth = read_four(folder, registry.find(name))
    torch.manual_seed(0)
    model = registry.create(name, **OPTIONS.get(name, {"size": "tiny"}))
    model.freeze(Training(frozen_stages=0, vision_layers=99))
    with torch.no_grad():
        prompts = (
            model.encode_prompts(PROMPTS)
            if model.own_text
            else torch.nn.functional.normalize(torch.randn(2, model.embedding_width), dim=1)
        )
    grid = (images.shape[2] // model.stride,) * 2
    wanted = torch.nn.functional.interpolate(truth[:, None], size=grid, mode="area")
    wanted = torch.cat([wanted, torch.zeros_like(wanted)], dim=1)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=400)
    known = torch.ones(4, 2)
    for _ in range(400):
        model.train()
        logits, presence = model(images, prompts)
        loss = mask_loss(logits, wanted, known, 1.0) + 0.1 * presence_loss(presence, wanted, known)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.eval()
    # batch statistics of four photos need no running average to be judged by
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.train()
    with torch.no_grad():
        logits, _ = model(images, prompts)
    found, real = logits[:, 0] > 0, wanted[:, 0] > 0.5
    dice = 2 * (found & real).sum((1, 2)) / (found.sum((1, 2)) + real.sum((1, 2)))
    print(name, [round(float(d), 3) for d in dice], float((logits[:, 1] > 0).float().mean()))
    assert float(dice.mean()) > 0.85
    assert float((logits[:, 1] > 0).float().mean()) < 0.01


def read_four(folder, family):
    import json

    data = json.loads((folder / "_annotations.coco.json").read_text())
    boxes = {}
    for annotation in data["annotations"]:
        if min(annotation["bbox"][2:]) > 20:
            boxes.setdefault(annotation["image_id"], []).append(annotation["bbox"])
    chosen, seen = [], set()
    for image in data["images"]:
        source = image["file_name"].split(".rf.")[0]
        if image["id"] in boxes and source not in seen:
            seen.add(source)
            chosen.append(image)
    side = 128
    window = family.window(side) if not family.side else None
    images, truths = [], []
    for image in chosen[:4]:
        photo = np.asarray(Image.open(folder / image["file_name"]).convert("RGB").resize((side, side)))
        mask = np.zeros((side, side), np.float32)
        for left, top, width, height in boxes[image["id"]]:
            scale = side / image["width"]
            rows = slice(round(top * scale), round((top + height) * scale))
            mask[rows, round(left * scale) : round((left + width) * scale)] = 1
        normal = (window or registry.find("compact").window(side)).normalise(photo)
        images.append(torch.from_numpy(normal))
        truths.append(torch.from_numpy(mask))
    return torch.stack(images), torch.stack(truths)
