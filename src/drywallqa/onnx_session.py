"""How a model is run, and its graphs in ONNX Runtime; imports nothing that would delay opening them.

Preparing the image encoder takes longer than everything else before the first photo. `prefetch_session` lets
the runtime begin with it while the modules that a run needs are still being imported.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drywallqa.background import BackgroundCall
from drywallqa.errors import BackendError, ConfigError
from drywallqa.processors import available_threads as available_threads

DEFAULT = Path(__file__).parent / "bundles" / "compact"  # the bundle that comes with the package
FAST = DEFAULT.parent / "swift"  # a smaller one that comes with it, for the profile "fast"
IMAGE_ENCODER = "image_encoder.onnx"
DECODER = "decoder.onnx"
BACKENDS = ("onnxruntime", "openvino", "torch")
PRECISIONS = ("fp32", "bf16", "fp16", "int8")
PROFILES = ("full", "fast")
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_prefetched: dict[tuple[str, str, int | None], BackgroundCall[Any]] = {}


@dataclass(frozen=True)
class RuntimeOptions:
    """How a model is run.

    Attributes:
        backend: The runtime: "onnxruntime", or "openvino" or "torch" where they are installed.
        device: Where it runs, "cpu" or "cuda".
        threads: Threads of one call; None takes as many as can run at a time.
        precision: What it computes in: "fp32", "bf16" or "fp16" where runtime and machine can, "int8" where
            the bundle holds such graphs. None leaves it to the profile.
        profile: "full", or "fast": of the bundled models the smaller one, of another the window halved.

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
            raise ConfigError(f"the profile is '{self.profile}'; choose one of {', '.join(PROFILES)}")
        if self.backend not in BACKENDS:
            raise BackendError(f"backend '{self.backend}' is not known; it is one of {', '.join(BACKENDS)}")
        if self.precision is not None and self.precision not in PRECISIONS:
            raise BackendError(
                f"precision '{self.precision}' is not known; it is one of {', '.join(PRECISIONS)}"
            )

    def folder_of(self, model: str | os.PathLike[str] | None) -> Path:
        """Return the folder of a bundle; None means the bundled model for the profile."""
        if model is not None:
            return Path(model)
        return FAST if self.profile == "fast" else DEFAULT

    def precision_for(self, folder: Path) -> str:
        """Return the precision in which the bundle in a folder is run.

        It is the one asked for, or int8 for the profile "fast" if the bundle holds such graphs, or fp32.
        """
        if self.precision is None and self.profile == "fast" and self.backend != "torch":
            return "int8" if (folder / graph_name(IMAGE_ENCODER, "int8")).is_file() else "fp32"
        return self.precision or "fp32"


def graph_name(graph: str, precision: str) -> str:
    """Return the file name of a graph at a precision; int8 graphs have files of their own."""
    return graph.replace(".onnx", ".int8.onnx") if precision == "int8" else graph


def prefetch_session(graph: Path, device: str = "cpu", threads: int | None = None) -> None:
    """Begin to open a graph in the background; `open_session` with the same arguments returns it.

    Errors are raised there, too.
    """
    import onnxruntime  # noqa: F401  # here: a second thread would wait for the import all the same

    key = (str(graph), device, threads)
    if key not in _prefetched:
        _prefetched[key] = BackgroundCall(lambda: _session(graph, device, threads))


def open_session(
    graph: Path | bytes, device: str = "cpu", threads: int | None = None, *, small: bool = False
) -> Any:
    """Open a graph as a session, which threads may share.

    Args:
        graph: The graph's file, or its content.
        device: "cpu" or "cuda".
        threads: Threads of one call; None takes as many as can run at a time.
        small: Whether it computes so little that optimising it would take longer than it saves.

    Raises:
        BackendError: The device is unknown, or this ONNX Runtime does not support it.
    """
    begun = _prefetched.pop((str(graph), device, threads), None) if isinstance(graph, Path) else None
    return begun.result() if begun else _session(graph, device, threads, small)


def _session(graph: Path | bytes, device: str, threads: int | None, small: bool = False) -> Any:
    import onnxruntime

    if device not in _PROVIDERS:
        raise BackendError(f"device '{device}' is not known; it is one of {', '.join(_PROVIDERS)}")
    provider = _PROVIDERS[device]
    if provider not in onnxruntime.get_available_providers():
        raise BackendError(
            f"device '{device}': this ONNX Runtime offers only "
            f"{', '.join(onnxruntime.get_available_providers())}; install onnxruntime-gpu or use --device cpu"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or available_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if small:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    # The threads of one graph would go on spinning while the next graph computes.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(
        graph if isinstance(graph, bytes) else str(graph), options, providers=[provider]
    )
