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

__all__ = ["Prediction", "SegmentOptions", "Segmenter", "__version__", "load"]

# To keep the package's import fast, NumPy and other modules are imported on first access to these names.
_LAZY = {
    "Prediction": "drywallqa.inference.prediction",
    "SegmentOptions": "drywallqa.inference.queries",
    "Segmenter": "drywallqa.inference.segmenter",
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
