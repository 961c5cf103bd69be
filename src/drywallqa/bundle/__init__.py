"""A trained model on disk, its runtimes and its text side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drywallqa.bundle.bundle import Bundle, ConceptSettings, load_bundle

__all__ = ["Bundle", "ConceptSettings", "load_bundle"]


def __getattr__(name: str) -> Any:
    # late, so that `graphs` can be had without the rest of the room
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from drywallqa.bundle import bundle

    return getattr(bundle, name)
