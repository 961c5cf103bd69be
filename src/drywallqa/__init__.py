"""Prompted segmentation for drywall inspection: a photo and a text prompt in, a mask out."""

from drywallqa._version import __version__

__all__ = ["__version__"]
