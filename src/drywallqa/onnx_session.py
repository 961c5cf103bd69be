"""Runtime options, and ONNX Runtime sessions. This module avoids imports that would delay opening a graph.

Loading the image encoder is the slowest step before the first photo. `prefetch_session` starts to load it
while Python still imports the modules for a run.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drywallqa.background import BackgroundCall
from drywallqa.errors import BackendError, ConfigError
from drywallqa.processors import available_threads as available_threads

DEFAULT = Path(__file__).parent / "bundles" / "compact"  # the default bundle of the package
FAST = DEFAULT.parent / "swift"  # the smaller bundle of the package, for the profile "fast"
IMAGE_ENCODER = "image_encoder.onnx"
DECODER = "decoder.onnx"
BACKENDS = ("onnxruntime", "openvino", "torch")
PRECISIONS = ("fp32", "bf16", "fp16", "int8")
PROFILES = ("full", "fast")
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_prefetched: dict[tuple[str, str, int | None], BackgroundCall[Any]] = {}


@dataclass(frozen=True)
class RuntimeOptions:
    """Options of the runtime that runs a model.

    Attributes:
        backend: The runtime: "onnxruntime", or "openvino" or "torch" if installed.
        device: "cpu" or "cuda".
        threads: Number of threads per call; None uses all cores that are available to the process.
        precision: Compute precision: "fp32"; "bf16" or "fp16" if the runtime and the machine support it;
            "int8" if the bundle contains int8 graphs. If None, the profile determines the precision.
        profile: "full" or "fast". "fast" uses the smaller bundled model. For any other bundle, "fast" halves
            the number of pixels in the window.

    Raises:
        ConfigError: The profile is unknown.
        BackendError: The runtime or the precision is unknown.
    """

    backend: str = "onnxruntime"
    device: str = "cpu"
    threads: int | None = None
    precision: str | None = None
    profile: str = "full"

    def __post_init__(self) -> None:
        if self.profile not in PROFILES:
            raise ConfigError(f"unknown profile '{self.profile}'; choose one of {', '.join(PROFILES)}")
        if self.backend not in BACKENDS:
            raise BackendError(f"unknown backend '{self.backend}'; choose one of {', '.join(BACKENDS)}")
        if self.precision is not None and self.precision not in PRECISIONS:
            raise BackendError(f"unknown precision '{self.precision}'; choose one of {', '.join(PRECISIONS)}")

    def folder_of(self, model: str | os.PathLike[str] | None) -> Path:
        """Return the folder of a bundle; None means the bundled model for the profile."""
        if model is not None:
            return Path(model)
        return FAST if self.profile == "fast" else DEFAULT

    def precision_for(self, folder: Path) -> str:
        """Return the precision for running the bundle in a folder.

        This is the requested precision if there is one. Otherwise, it is int8 for the profile "fast" if the
        bundle contains int8 graphs, and fp32 in all other cases.
        """
        if self.precision is None and self.profile == "fast" and self.backend != "torch":
            return "int8" if (folder / graph_name(IMAGE_ENCODER, "int8")).is_file() else "fp32"
        return self.precision or "fp32"


def graph_name(graph: str, precision: str) -> str:
    """Return the file name of a graph at a precision; int8 graphs have separate files."""
    return graph.replace(".onnx", ".int8.onnx") if precision == "int8" else graph


def prefetch_session(graph: Path, device: str = "cpu", threads: int | None = None) -> None:
    """Start opening a graph in the background. `open_session` with the same arguments returns the session.

    If opening the graph fails, `open_session` raises the error.
    """
    import onnxruntime  # noqa: F401  # imported here, because the background thread would wait for it

    key = (str(graph), device, threads)
    if key not in _prefetched:
        _prefetched[key] = BackgroundCall(lambda: _session(graph, device, threads))


def open_session(
    graph: Path | bytes, device: str = "cpu", threads: int | None = None, *, small: bool = False
) -> Any:
    """Open a graph as a session that several threads may share.

    Args:
        graph: The graph's file, or its content.
        device: "cpu" or "cuda".
        threads: Number of threads per call; None uses all cores that are available to the process.
        small: Whether the graph is so small that optimising it would take longer than the optimisation saves.

    Raises:
        BackendError: The device is unknown, or this ONNX Runtime does not support it.
    """
    begun = _prefetched.pop((str(graph), device, threads), None) if isinstance(graph, Path) else None
    return begun.result() if begun else _session(graph, device, threads, small)


def _session(graph: Path | bytes, device: str, threads: int | None, small: bool = False) -> Any:
    import onnxruntime

    if device not in _PROVIDERS:
        raise BackendError(f"unknown device '{device}'; choose one of {', '.join(_PROVIDERS)}")
    provider = _PROVIDERS[device]
    if provider not in onnxruntime.get_available_providers():
        raise BackendError(
            f"device '{device}': this ONNX Runtime supports only "
            f"{', '.join(onnxruntime.get_available_providers())}; install onnxruntime-gpu or use --device cpu"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or available_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if small:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    # Without this entry, the threads of one graph would keep spinning while the next graph runs.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(
        graph if isinstance(graph, bytes) else str(graph), options, providers=[provider]
    )
