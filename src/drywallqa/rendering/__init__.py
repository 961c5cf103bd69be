"""Walls drawn by ourselves with exactly known truth, and cracks of photos put onto photos of boards."""

from drywallqa.rendering.composite import STILL, Composite, Pasting, composites, paste_crack
from drywallqa.rendering.others import OTHERS, render_other
from drywallqa.rendering.walls import CRACK, KINDS, TAPING_AREA, Wall, Wish, render_wall

__all__ = [
    "CRACK",
    "KINDS",
    "OTHERS",
    "STILL",
    "TAPING_AREA",
    "Composite",
    "Pasting",
    "Wall",
    "Wish",
    "composites",
    "paste_crack",
    "render_other",
    "render_wall",
]
