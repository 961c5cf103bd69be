"""A bundle's graphs in ONNX Runtime, and nothing that would hold up their opening.

A runtime takes longer to prepare the image encoder than all else before the first photo. `open_ahead` lets it
begin while the modules that a run needs are still imported, so this file imports next to nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from drywallqa.background import BackgroundCall
from drywallqa.errors import BackendError
from drywallqa.processors import available_threads as available_threads

DEFAULT = Path(__file__).parent / "bundles" / "compact"
"""The bundle that comes with the package."""
FAST = DEFAULT.parent / "swift"
"""A smaller one that comes with it, for the profile "fast"."""
IMAGE_ENCODER = "image_encoder.onnx"
DECODER = "decoder.onnx"
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_ahead: dict[tuple[str, str, int | None], BackgroundCall[Any]] = {}


def graph_name(graph: str, precision: str) -> str:
    """Name the file of a graph at a precision: those of int8 are files of their own."""
    return graph.replace(".onnx", ".int8.onnx") if precision == "int8" else graph


def prefetch_session(graph: Path, device: str = "cpu", threads: int | None = None) -> None:
    """Begin to open a graph in a thread of its own; `open_graph` with the same arguments takes it from there.

    Whatever is wrong with it is said there, too.
    """
    import onnxruntime  # noqa: F401  # here: a second thread would wait for the import all the same

    key = (str(graph), device, threads)
    if key not in _ahead:
        _ahead[key] = BackgroundCall(lambda: _session(graph, device, threads))


def open_session(
    graph: Path | bytes, device: str = "cpu", threads: int | None = None, *, small: bool = False
) -> Any:
    """Open a graph as a session, which threads may share.

    Args:
        graph: Its file, or what one holds.
        device: "cpu" or "cuda".
        threads: Threads of one call; None takes as many as can run at a time.
        small: Whether it computes so little that improving it would take longer than it saves.

    Raises:
        BackendError: The device is unknown, or this ONNX Runtime has none such.
    """
    begun = _ahead.pop((str(graph), device, threads), None) if isinstance(graph, Path) else None
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
    # the threads of one graph would go on waiting busily while the next graph computes
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(
        graph if isinstance(graph, bytes) else str(graph), options, providers=[provider]
    )
