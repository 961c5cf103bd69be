"""Measure the time of each stage of a prediction, the start-up time, the machine's speed, and CLIPSeg."""

from __future__ import annotations

import io
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from drywallqa.backend import Backend, Features, Float
from drywallqa.errors import MissingExtraError
from drywallqa.evaluation.speed_cases import PROMPTS, Photo, time_repeatedly
from drywallqa.imaging import mask_files, photos
from drywallqa.imaging.letterbox import Letterbox, sigmoid
from drywallqa.inference.mask_kinds import OUTLINE
from drywallqa.inference.queries import SegmentOptions
from drywallqa.inference.segmenter import Segmenter
from drywallqa.inference.wrapped_model import WrappedModel

CLIPSEG_SIDE = 352
_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_SIDE = 1024  # side of the matrices in the timed product
_COPIED = 64 * 2**20  # size of the timed copy in bytes

_START = """
import resource, sys, time
from pathlib import Path
started = time.perf_counter()
import numpy as np
import drywallqa
segmenter = drywallqa.load(None if sys.argv[1] == "default" else sys.argv[1])
loaded = time.perf_counter()
options = drywallqa.SegmentOptions(mask="outline")
segmenter.segment(np.full((640, 640, 3), 128, np.uint8), "segment crack", options=options)
ended = time.perf_counter()
# ru_maxrss may include the memory of the parent process. Linux also reports the peak of this program.
status = Path("/proc/self/status")
own = status.read_text().split("VmHWM:")[1].split()[0] if status.exists() else ""
print(loaded - started, ended - started, own or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


class _Timed:
    """A backend that records the duration of each call to `encode_image` and `decode` in s."""

    def __init__(self, backend: Backend) -> None:
        self.encode_prompts = backend.encode_prompts
        self.backend, self.encoding, self.decoding = backend, list[float](), list[float]()

    def encode_image(self, images: Float) -> Features:
        start = time.perf_counter()
        features = self.backend.encode_image(images)
        self.encoding.append(time.perf_counter() - start)
        return features

    def decode(self, features: Features, embeddings: Float) -> tuple[Float, Float]:
        start = time.perf_counter()
        logits = self.backend.decode(features, embeddings)
        self.decoding.append(time.perf_counter() - start)
        return logits


def time_stages(segmenter: Segmenter, photo: Photo, seconds: float) -> dict[str, float]:
    """Measure the median time of each stage in ms, for one photo and one prompt.

    Args:
        segmenter: The running model.
        photo: uint8 [H,W,3]. Its longer side must be at most twice the window size, so that the model needs
            no tiles.
        seconds: Time in s for the repeated runs of a stage.
    """
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, "JPEG", quality=92)
    timed = _Timed(segmenter.open())
    watched = Segmenter(WrappedModel.around(segmenter.bundle, timed))
    query = watched.ask(PROMPTS[0], options=SegmentOptions(mask=OUTLINE))
    (prediction,) = watched.answer(photo, query, keep_probability=False)

    def median(work: Callable[[], object], share: float) -> float:
        return 1e3 * float(np.median(time_repeatedly(work, seconds * share)[:, 0]))

    read = median(lambda: photos.read_photo(Image.open(io.BytesIO(stream.getvalue()))), 1)
    whole = median(lambda: list(watched.answer(photo, query, keep_probability=False)), 3)
    encoding, decoding = (1e3 * float(np.median(each)) for each in (timed.encoding, timed.decoding))
    return {
        "decode the JPEG": read,
        "encode": encoding,
        "decode under a prompt": decoding,
        "resize, normalise, upscale": max(0.0, whole - encoding - decoding),
        "write the mask": median(lambda: mask_files.encode_mask(prediction.mask), 1),
    }


def cold_start(folder: Path | None, repeats: int = 3) -> dict[str, float]:
    """Start several processes, and return the median start-up times and the median peak memory.

    Args:
        folder: The bundle's folder; None for the bundle in the package.
        repeats: Number of processes.

    Returns:
        `loaded_s` (until the model is loaded), `first_mask_s` (until the first mask), `process_s` (duration
        of the process, including the start of the interpreter) and `peak_mb`.
    """
    found = []
    for _ in range(repeats):
        begun = time.perf_counter()
        command = [sys.executable, "-c", _START, "default" if folder is None else str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        whole = time.perf_counter() - begun
        loaded, first, peak = map(float, done.stdout.split())
        found.append((loaded, first, whole, peak / (2**20 if sys.platform == "darwin" else 2**10)))
    values = np.median(np.asarray(found), axis=0)
    names = ("loaded_s", "first_mask_s", "process_s", "peak_mb")
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def machine_ceiling(threads: int, seconds: float) -> dict[str, Any]:
    """Measure the machine's speed for a matrix product in ONNX Runtime and for a memory copy.

    Args:
        threads: Number of threads for the matrix product.
        seconds: Time in s for the repeated runs of each measurement.

    Returns:
        `matrix_gflops` (None if the package `onnx` is not installed) and `copy_gb_s`.
    """
    source = np.ones(_COPIED, np.uint8)
    target = np.empty_like(source)
    copied = float(np.median(time_repeatedly(lambda: np.copyto(target, source), seconds)[:, 0]))
    return {"matrix_gflops": _product(threads, seconds), "copy_gb_s": _COPIED / copied / 1e9}


def _product(threads: int, seconds: float) -> float | None:
    try:
        from onnx import TensorProto, helper
    except ImportError:
        return None
    import onnxruntime

    names = ("a", "b", "c")
    a, b, c = (helper.make_tensor_value_info(name, TensorProto.FLOAT, (_SIDE, _SIDE)) for name in names)
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "product", [a, b], [c])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    values = np.random.default_rng(0).random((_SIDE, _SIDE), np.float32)
    times = time_repeatedly(lambda: session.run(None, {"a": values, "b": values}), seconds)
    return 2 * _SIDE**3 / float(np.median(times[:, 0])) / 1e9


def describe_machine() -> str:
    """Return the names of the processor and the operating system, and the version of Python."""
    name = platform.processor() or platform.machine()
    listed = Path("/proc/cpuinfo")
    if listed.is_file():
        lines = listed.read_text(encoding="utf-8", errors="replace").splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    return f"{name}, {platform.system()}, Python {platform.python_version()}"


def time_clipseg(photo: Photo, threads: int, seconds: float, prompts: Sequence[int]) -> dict[str, Any]:
    """Measure how long CLIPSeg (from transformers, full size, random weights) takes from an array to masks.

    Args:
        photo: uint8 [H,W,3].
        threads: Number of torch threads.
        seconds: Time in s for the repeated runs with each number of prompts.
        prompts: Numbers of prompts to measure.

    Returns:
        `parameters` is the number of weights. `median_ms` and `cpu_ms` map each number of prompts to a time.

    Raises:
        MissingExtraError: torch or transformers is not installed.
    """
    segment, parameters = load_clipseg(photo, threads)
    found: dict[str, Any] = {"parameters": parameters}
    took = {
        count: np.median(time_repeatedly(partial(segment, count), seconds, 3), axis=0) for count in prompts
    }
    for column, name in enumerate(("median_ms", "cpu_ms")):
        found[name] = {count: 1e3 * float(times[column]) for count, times in took.items()}
    return found


def load_clipseg(photo: Photo, threads: int) -> tuple[Callable[[int], None], int]:
    """Create CLIPSeg with random weights. It encodes the photo again for each prompt.

    Args:
        photo: uint8 [H,W,3].
        threads: Number of torch threads.

    Returns:
        A function that segments the photo with a number of prompts, and the number of weights.

    Raises:
        MissingExtraError: torch or transformers is not installed.
    """
    try:
        import torch

        from drywallqa.models import registry

        model: Any = registry.create_model("clipseg")
    except ModuleNotFoundError as error:
        raise MissingExtraError("the comparison with CLIPSeg", "train") from error
    torch.set_num_threads(threads)
    model.eval()
    window = Letterbox(CLIPSEG_SIDE, square=True, mean=_CLIP_MEAN, std=_CLIP_STD)
    ids = model.tokenize(list(PROMPTS))

    def segment(count: int) -> None:
        with torch.inference_mode():
            canvas, placement = window.fit(photo)
            pixels = torch.from_numpy(canvas[None])
            for number in range(count):
                logits = model.network(input_ids=ids[number : number + 1], pixel_values=pixels).logits
                logits = logits.reshape(CLIPSEG_SIDE, CLIPSEG_SIDE).numpy()
                np.greater(sigmoid(placement.restore(logits)), np.float32(0.5))

    return segment, sum(p.numel() for p in model.parameters())
