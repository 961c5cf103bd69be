"""The example walls of the demonstration: eight rendered photos with their truth beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from drywallqa.errors import OutputError
from drywallqa.rendering.canvas import Mask
from drywallqa.rendering.walls import CRACK, TAPING_AREA, Kind, Wall, Wish, render_wall


@dataclass(frozen=True)
class Example:
    """One example wall: its name, what it shows, and the seed that draws it."""

    name: str
    kind: Kind
    seed: int
    wish: Wish


EXAMPLES: tuple[Example, ...] = (
    Example("plaster-crack-raking-light", "crack", 101, Wish("plaster", (), 0.7, 3.0)),
    Example("paint-hairline-socket", "crack", 114, Wish("paint", ("socket",), 0.1, 1.4)),
    Example("grey-boards-seam", "seam", 120, Wish("grey board", ("print",), 0.2, scene=False)),
    Example("green-boards-seam-cable", "seam", 135, Wish("green board", ("cable",), 0.2, scene=False)),
    Example("grey-boards-crack-and-seam", "both", 147, Wish("grey board", (), 0.2, 3.0, scene=False)),
    Example(
        "green-boards-crack-and-seam", "both", 157, Wish("green board", ("nails",), 0.2, 2.5, scene=False)
    ),
    Example("paint-switch-cable-nothing", "neither", 162, Wish("paint", ("switch", "cable"), 0.2)),
    Example("plaster-stain-nothing", "neither", 176, Wish("plaster", ("stain", "socket"), 0.4)),
)
"""Two of each kind: cracks, seams, both, and neither."""


def render_example(example: Example, size: tuple[int, int] = (640, 640)) -> Wall:
    """Render one example on `size` (height, width) px; always the same picture."""
    return render_wall(example.seed, size, example.kind, example.wish)


def write_examples(folder: str | Path, size: tuple[int, int] = (640, 640)) -> dict[str, Wall]:
    """Render the example walls into `folder` as NAME.png.

    Args:
        folder: Where to write; made if it is missing.
        size: Height and width of each photo in px.

    Returns:
        The walls by name, with their truth.

    Raises:
        OutputError: The folder cannot be written.
    """
    root = Path(folder)
    walls = {example.name: render_example(example, size) for example in EXAMPLES}
    try:
        root.mkdir(parents=True, exist_ok=True)
        for name, wall in walls.items():
            _write(root / f"{name}.png", wall.photo)
    except OSError as error:
        raise OutputError(f"{root}: cannot be written ({error.strerror}); choose another folder") from error
    return walls


def _write(path: Path, photo: np.ndarray) -> None:
    """Write a photo whole or not at all; leave it alone where it lies there already."""
    beside = path.with_name(f".{path.name}.part")
    Image.fromarray(photo).save(beside, "PNG")
    if path.exists() and path.read_bytes() == beside.read_bytes():
        beside.unlink()
    else:
        beside.replace(path)


@dataclass(frozen=True)
class Agreement:
    """How well found masks of one concept fit the known truth of the example walls.

    Attributes:
        concept: "crack" or "taping area".
        overlaps: By wall that shows the concept, IoU of the found mask with the label.
        false_alarms: By wall that does not show it, share of the photo that was marked all the same.
    """

    concept: str
    overlaps: Mapping[str, float]
    false_alarms: Mapping[str, float]


def agreement(walls: Mapping[str, Wall], found: Callable[[str, str], Mask]) -> tuple[Agreement, ...]:
    """Compare found masks with the truth of rendered walls, as people would have labelled it.

    Args:
        walls: Walls by name.
        found: Gives the mask, bool [H,W], for a wall's name and a concept.

    Returns:
        One entry a concept.
    """
    results = []
    for concept in (CRACK, TAPING_AREA):
        overlaps: dict[str, float] = {}
        false_alarms: dict[str, float] = {}
        for name, wall in walls.items():
            truth, mask = wall.labels[concept], found(name, concept)
            if truth.any():
                overlaps[name] = float((truth & mask).sum() / (truth | mask).sum())
            else:
                false_alarms[name] = float(mask.mean())
        results.append(Agreement(concept, overlaps, false_alarms))
    return tuple(results)
