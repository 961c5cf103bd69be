"""Measure the speed and the quality of a bundle with different runtimes and settings.

Each time is the time per photo to turn an RGB array into masks of the same size. It does not include the time
to embed the prompts.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drywallqa.bundle.bundle import Bundle
from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.errors import DrywallQAError
from drywallqa.evaluation.measure import Evaluator, measure_pairs
from drywallqa.inference.mask_kinds import OUTLINE
from drywallqa.inference.queries import SegmentOptions
from drywallqa.inference.segmenter import Segmenter
from drywallqa.onnx_session import FAST, RuntimeOptions
from drywallqa.processors import available_threads

Photo = NDArray[np.uint8]

PROMPTS = (
    "segment crack",
    "segment taping area",
    "hairline fissure in the plaster",
    "drywall seam",
    "where do two boards meet",
)
"""Five prompts with five different embeddings."""

NOT_MEASURED = "not measured"
_QUALITY_PHOTOGRAPHS = 40  # largest number of source photos per concept on which the IoU is measured
_REPEATS = 500  # largest number of timed runs of one case


@dataclass(frozen=True)
class SpeedCase:
    """One combination of settings for running a bundle.

    Attributes:
        backend: The runtime.
        precision: Numeric precision, such as "fp32".
        window: Size of the window in px.
        prompts: Number of prompts per call.
        batch: Number of photos that are encoded together.
        threads: Number of threads per call.
        bundle: The bundle's name.
    """

    backend: str
    precision: str
    window: int
    prompts: int
    batch: int
    threads: int
    bundle: str = ""


def speed_cases(
    bundle: Bundle,
    backends: Sequence[str] = ("onnxruntime",),
    precisions: Sequence[str] = (),
    windows: Sequence[int] = (),
    prompts: Sequence[int] = (1, 5),
    batches: Sequence[int] = (1, 4),
    threads: Sequence[int] = (),
) -> list[SpeedCase]:
    """List all combinations of runtime, precision, window and number of prompts.

    In the first combination, the batch size and the number of threads are also varied, one at a time. If no
    precision is given, fp32 is used. For the fast bundle, its default precision is used as well.
    """
    every = threads[0] if len(threads) == 1 else available_threads()
    if not precisions:
        shipped = RuntimeOptions(backends[0], profile="fast").precision_for(FAST)
        precisions = ("fp32", shipped) if bundle.folder == FAST else ("fp32",)
    found = [
        SpeedCase(backend, precision, size, count, 1, every, bundle.name)
        for backend in backends
        for precision in precisions
        for size in windows or (bundle.window.size,)
        for count in prompts
    ]
    first = found[0]
    found += [dataclasses.replace(first, batch=batch) for batch in batches]
    found += [dataclasses.replace(first, threads=count) for count in threads or range(1, every + 1)]
    return list(dict.fromkeys(found))


def load_case(bundle: Bundle, case: SpeedCase) -> Segmenter:
    """Load a bundle with the settings of a case.

    Raises:
        BackendError: The runtime does not support the settings.
        MissingExtraError: The runtime is not installed.
    """
    resized = dataclasses.replace(bundle, window=dataclasses.replace(bundle.window, size=case.window))
    options = RuntimeOptions(case.backend, threads=case.threads, precision=case.precision)
    segmenter = Segmenter(resized, options)
    segmenter.open()
    return segmenter


def measure_cases(
    bundle: Bundle,
    chosen: Sequence[SpeedCase],
    photo: Photo,
    *,
    seconds: float = 2.0,
    validation: Dataset | None = None,
) -> Iterator[dict[str, Any]]:
    """Measure cases one after the other.

    Args:
        bundle: The model.
        chosen: The cases. If a case cannot be run, its row contains the reason.
        photo: uint8 [H,W,3].
        seconds: How long to repeat each case, in s.
        validation: Labelled photos for measuring the IoU; None uses the IoU stored in the bundle.

    Yields:
        The settings of a case and its results: `median_ms` and `p95_ms` per photo, `photos_per_second` at the
        median, `cpu_ms` (median CPU time of all threads per photo, stable even on a busy machine), `repeats`,
        `quality` (concept → mean IoU with this backend, precision and window, if known) and `problem` (the
        reason why the case could not be run; all times are then None).
    """
    known: dict[tuple[str, str, int], dict[str, Any]] = {}
    for case in chosen:
        row = dataclasses.asdict(case)
        try:
            segmenter = load_case(bundle, case)
            key = (case.backend, case.precision, case.window)
            if key not in known:
                known[key] = _quality(bundle, segmenter, case, validation)
            times = time_repeatedly(_work(segmenter, case, photo), seconds) / case.batch
        except (DrywallQAError, ValueError) as error:
            times_ms = dict.fromkeys(("median_ms", "p95_ms", "photos_per_second", "cpu_ms"))
            yield {**row, **times_ms, "repeats": 0, "quality": {}, "problem": str(error)}
            continue
        median, cpu = (float(value) for value in np.median(times, axis=0))
        yield {
            **row,
            "median_ms": 1e3 * median,
            "p95_ms": 1e3 * float(np.percentile(times[:, 0], 95)),
            "photos_per_second": 1 / median,
            "cpu_ms": 1e3 * cpu,
            "repeats": len(times),
            "quality": known[key],
            "problem": None,
        }


def _work(segmenter: Segmenter, case: SpeedCase, photo: Photo) -> Callable[[], object]:
    prompts, photos = list(PROMPTS[: case.prompts]), [photo] * case.batch
    options = SegmentOptions(mask=OUTLINE)
    if case.batch == 1:
        return lambda: segmenter.segment(photo, prompts, keep_probability=False, options=options)
    return lambda: [
        *segmenter.segment_many(
            photos, prompts, batch_size=case.batch, keep_probability=False, options=options
        )
    ]


def time_repeatedly(work: Callable[[], object], seconds: float, least: int = 5) -> NDArray[np.float64]:
    """Time a function repeatedly, after a warm-up run that is not counted.

    Args:
        work: The function.
        seconds: Total duration in s; at most 500 runs are made.
        least: Smallest number of runs.

    Returns:
        Wall time and CPU time in s for each of N runs [N,2]. The CPU time is the sum over all threads.
    """
    work()
    times: list[tuple[float, float]] = []
    end = time.perf_counter() + seconds
    while len(times) < least or (time.perf_counter() < end and len(times) < _REPEATS):
        start, before = time.perf_counter(), time.process_time()
        work()
        times.append((time.perf_counter() - start, time.process_time() - before))
    return np.array(times)


def _quality(
    bundle: Bundle, segmenter: Segmenter, case: SpeedCase, validation: Dataset | None
) -> dict[str, Any]:
    if validation is not None:
        found = {c: mean_iou_of(segmenter, validation, c, _QUALITY_PHOTOGRAPHS) for c in bundle.concepts}
        return {concept: iou for concept, iou in found.items() if not np.isnan(iou)}
    if case.window != bundle.window.size:
        return {}
    if case.precision != "fp32":
        return dict(bundle.metrics.get("precisions", {}).get(case.precision, {}))
    return {name: entry["iou"] for name, entry in bundle.metrics.get("val", {}).items()}


def mean_iou_of(segmenter: Segmenter, dataset: Dataset, concept: str, most: int) -> float:
    """Return the mean IoU of a segmenter's masks at its thresholds, on one copy of each source photo.

    Args:
        segmenter: The model.
        dataset: Labelled photos.
        concept: The concept. Its name is used as the prompt.
        most: Largest number of source photos.
    """
    shown: dict[str, Sample] = {}
    for sample in dataset:
        wanted = sample.labels.get(concept) and sample.photograph not in shown and len(shown) < most
        if wanted and dataset.read_mask(sample, concept).any():
            shown[sample.photograph] = sample
    queries = segmenter.ask_for([(concept, concept)])
    evaluator = Evaluator(segmenter, dataset.with_samples(shown.values()), queries)
    ious = [pair.counts.iou for pair in measure_pairs(evaluator)]
    return float(np.mean(ious)) if ious else float("nan")
