"""Segment photos of drywall by text prompts: pass a photo and a prompt, and get a mask.

Example:
    >>> import drywallqa
    >>> segmenter = drywallqa.load()  # doctest: +SKIP
    >>> [p.mask.shape for p in segmenter.segment("wall.jpg", ["segment crack"])]  # doctest: +SKIP
    [(3024, 4032)]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drywallqa._version import __version__

if TYPE_CHECKING:
    from drywallqa.inference.prediction import Prediction
    from drywallqa.inference.queries import SegmentOptions
    from drywallqa.inference.segmenter import Segmenter, load
    from drywallqa.inspection.scale_sources import ScaleOptions
    from drywallqa.workflows.inspect import InspectOptions, inspect

__all__ = [
    "InspectOptions",
    "Prediction",
    "ScaleOptions",
    "SegmentOptions",
    "Segmenter",
    "__version__",
    "inspect",
    "load",
]

# To keep the package's import fast, NumPy and other modules are imported on first access to these names.
_LAZY = {
    "InspectOptions": "drywallqa.workflows.inspect",
    "Prediction": "drywallqa.inference.prediction",
    "ScaleOptions": "drywallqa.inspection.scale_sources",
    "SegmentOptions": "drywallqa.inference.queries",
    "Segmenter": "drywallqa.inference.segmenter",
    "inspect": "drywallqa.workflows.inspect",
    "load": "drywallqa.inference.segmenter",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
