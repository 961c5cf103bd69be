"""What the time goes into: stages, start, memory; and what the machine could do at best."""

from __future__ import annotations

import io
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from drywallqa import masks, photos
from drywallqa.evaluation.speed import PROMPTS, Photo, repeat
from drywallqa.inference.segmenter import Segmenter
from drywallqa.window import sigmoid

_SIDE = 1024  # of the matrices whose product is timed
_COPIED = 64 * 2**20  # bytes

_START = """
import resource, sys, time
from pathlib import Path
started = time.perf_counter()
import numpy as np
import drywallqa
segmenter = drywallqa.load(None if sys.argv[1] == "default" else sys.argv[1])
loaded = time.perf_counter()
segmenter.segment(np.full((640, 640, 3), 128, np.uint8), "segment crack")
ended = time.perf_counter()
# ru_maxrss also counts what the process held that started this one; Linux knows this program's own peak
status = Path("/proc/self/status")
own = status.read_text().split("VmHWM:")[1].split()[0] if status.exists() else ""
print(loaded - started, ended - started, own or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def stages(segmenter: Segmenter, photo: Photo, seconds: float) -> dict[str, float]:
    """Time each stage of one photo under one prompt, in milliseconds (medians).

    Args:
        segmenter: The model, running.
        photo: uint8 [H,W,3].
        seconds: How long each stage is repeated.
    """
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, "JPEG", quality=92)
    window, backend = segmenter.bundle.window, segmenter.open()
    canvas, placement = window.fit(photo)
    features = backend.encode_image(canvas[None])
    embedding = backend.encode_prompts(PROMPTS[:1])
    logits, _ = backend.decode(features, embedding)
    mask = sigmoid(placement.restore(logits[0, 0])) > np.float32(0.5)
    work: dict[str, Callable[[], object]] = {
        "decode the JPEG": lambda: photos.read(Image.open(io.BytesIO(stream.getvalue()))),
        "resize and normalise": lambda: window.fit(photo),
        "encode": lambda: backend.encode_image(canvas[None]),
        "decode under a prompt": lambda: backend.decode(features, embedding),
        "upscale": lambda: sigmoid(placement.restore(logits[0, 0])) > np.float32(0.5),
        "write the mask": lambda: masks.encode(mask),
    }
    return {name: 1e3 * float(np.median(repeat(job, seconds))) for name, job in work.items()}


def cold_start(folder: Path | None, repeats: int = 3) -> dict[str, float]:
    """Start fresh processes: seconds to the loaded model and to the first mask, and peak memory (medians).

    Args:
        folder: The bundle's folder; None takes the one that comes with the package.
        repeats: Processes.

    Returns:
        `loaded_s`, `first_mask_s`, `process_s` (with the interpreter's own start) and `peak_mb`.
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


def ceiling(threads: int, seconds: float) -> dict[str, Any]:
    """Time what the machine could do at best: a matrix product in ONNX Runtime, and a copy of memory.

    Args:
        threads: Threads of the product.
        seconds: How long each is repeated.

    Returns:
        `matrix_gflops` (None where the package `onnx`, which builds the graph, is missing) and `copy_gb_s`.
    """
    source = np.ones(_COPIED, np.uint8)
    target = np.empty_like(source)
    copied = float(np.median(repeat(lambda: np.copyto(target, source), seconds)))
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
    took = float(np.median(repeat(lambda: session.run(None, {"a": values, "b": values}), seconds)))
    return 2 * _SIDE**3 / took / 1e9


def machine() -> str:
    """Name the processor and the system."""
    name = platform.processor() or platform.machine()
    listed = Path("/proc/cpuinfo")
    if listed.is_file():
        lines = listed.read_text(encoding="utf-8", errors="replace").splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    return f"{name}, {platform.system()}, Python {platform.python_version()}"
