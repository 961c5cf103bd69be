"""Compare the speed of a training run, and its share of time waiting for data, with a plain PyTorch loop.

    python tools/bench_training.py [--data DIR] [--config configs/laptop.yaml] [--batches 12] [--rounds 1]

The plain loop uses the same model, images, loss and optimiser, and a DataLoader without workers. Each loop
runs in a separate process. The loops alternate, so that other work on the machine affects both equally. The
first batches of each loop are not counted, because they wait for memory and workers.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WARM = 2  # number of batches before the measurement starts
HERE = Path(__file__).parent.parent


def prepare(data: Path, config_path: Path, batches: int):
    """Load data, settings and phrasings, with only two val photos, because validation is not measured."""
    from drywallqa.datasets import dataset as datasets
    from drywallqa.training.config import load_config
    from drywallqa.training.phrase_embeddings import embed_phrases

    known = datasets.load_dataset(data)
    samples = [*known.part("train"), *list(known.part("val"))[:2]]
    config = load_config(config_path, ["optimisation.epochs=1", "validate_every=1", "data.phrases=100"])
    pictures = (batches + WARM) * config.optimisation.batch_size
    config = config.model_copy(update={"data": config.data.model_copy(update={"photos_per_epoch": pictures})})
    return (
        known.with_samples(samples),
        config,
        embed_phrases(known.concepts, None, config.seed, config.data.phrases),
    )


def plain(data: Path, config_path: Path, batches: int) -> dict[str, float]:
    """Train with a plain PyTorch loop and return the measured times."""
    import torch
    from torch.utils.data import DataLoader

    from drywallqa.sampling.pairs import TrainingPairs
    from drywallqa.training.fit import build_model
    from drywallqa.training.losses import make_mask_loss, presence_loss

    dataset, config, phrases = prepare(data, config_path, batches)
    model = build_model(config, phrases.text.embed(()).shape[1]).train()
    model.freeze(config.model.training)
    steps = config.optimisation
    loss_of = make_mask_loss(config.loss, steps.dice_weight)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], steps.decoder_rate)
    pairs = TrainingPairs(
        dataset.part("train"), phrases.embeddings, config.data, config.seed, 0, model.stride
    )
    loader = iter(DataLoader(pairs, batch_size=steps.batch_size))
    waiting = working = 0.0
    for number in range(batches + WARM):
        start = time.perf_counter()
        batch = next(loader)
        arrived = time.perf_counter()
        logits, presence = model(batch["image"], batch["embeddings"])
        loss = loss_of(logits, batch["truth"], batch["known"])
        loss = loss + steps.presence_weight * presence_loss(presence, batch["truth"], batch["known"])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), steps.gradient_clip)
        optimizer.step()
        if number >= WARM:
            waiting += arrived - start
            working += time.perf_counter() - arrived
    return {"waiting": waiting, "working": working, "photos": batches * steps.batch_size}


def ours(data: Path, config_path: Path, batches: int) -> dict[str, float]:
    """Train with the code of `drywallqa train` and return the measured times."""
    from drywallqa.training import fit as fitting
    from drywallqa.training.run_log import WAITING, WORKING, LoggingCallback

    class Warm(LoggingCallback):
        """Excludes the first batches from the measurement."""

        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
            super().on_train_batch_end(trainer, module, outputs, batch, batch_idx)
            if batch_idx + 1 == WARM:
                self.photos = 0
                self.profiler.recorded_durations.clear()

        def on_train_end(self, trainer, module) -> None:
            super().on_train_end(trainer, module)
            measured.update(
                waiting=self.seconds[WAITING], working=self.seconds[WORKING], photos=float(self.all_photos)
            )

    measured: dict[str, float] = {}
    fitting.LoggingCallback = Warm
    dataset, config, phrases = prepare(data, config_path, batches)
    with tempfile.TemporaryDirectory() as folder:
        request = fitting.TrainingRequest(data, Path(folder) / "run", progress=False)
        fitting.fit(request, dataset, phrases, config)
    return measured


def measure(loop: str, arguments: argparse.Namespace, data: Path) -> dict[str, float]:
    """Run one loop in a separate process and return its measured times."""
    command = [
        sys.executable, __file__, "--loop", loop, "--data", str(data), "--config", str(arguments.config),
        "--batches", str(arguments.batches),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"error: the {loop} loop failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def find_data(given: Path | None, folder: Path) -> Path:
    """Return the given data set or a data set in data/. If there is none, render a data set in `folder`."""
    for place in (given, HERE / "data" / "processed", HERE / "data" / "benchmark"):
        if place is not None and (place / "manifest.jsonl").is_file():
            return place
    if given is not None:
        sys.exit(f"error: {given}: not a data set")
    from drywallqa.curation.rendered_sets import add_rendered

    add_rendered(folder, 24, set_name="walls", seed=0, split="train")
    add_rendered(folder, 2, set_name="more", seed=1, split="val")
    print("data/ has no data set, so rendered walls are used")
    return folder


def main() -> None:
    """Measure both loops and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, help="data set; default: the data set in data/, or rendered walls"
    )
    parser.add_argument("--config", type=Path, default=HERE / "configs" / "laptop.yaml")
    parser.add_argument("--batches", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--loop", choices=("plain", "ours"), help="measure only this loop and print JSON")
    arguments = parser.parse_args()
    if arguments.loop:
        found = {"plain": plain, "ours": ours}[arguments.loop]
        print(json.dumps(found(arguments.data, arguments.config, arguments.batches)))
        return
    with tempfile.TemporaryDirectory() as folder:
        data = find_data(arguments.data, Path(folder))
        speeds: dict[str, list[float]] = {"plain": [], "ours": []}
        shares: dict[str, list[float]] = {"plain": [], "ours": []}
        for _ in range(arguments.rounds):
            for loop in speeds:
                found = measure(loop, arguments, data)
                seconds = found["waiting"] + found["working"]
                speeds[loop].append(found["photos"] / seconds)
                shares[loop].append(found["waiting"] / seconds)
    for loop, name in (("plain", "plain loop"), ("ours", "drywallqa train")):
        speed, share = statistics.median(speeds[loop]), statistics.median(shares[loop])
        print(f"{name}: {speed:.2f} images per second, {share:.1%} of the time spent waiting for data")
    times = statistics.median(speeds["ours"]) / statistics.median(speeds["plain"])
    print(f"drywallqa train is {times:.2f} times as fast")


if __name__ == "__main__":
    main()
