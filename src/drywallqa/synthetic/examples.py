"""The example walls of the demonstration: eight rendered photos with their truth beside them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from drywallqa.files import write_whole
from drywallqa.metrics import FALSE_ALARM_SHARE, Counts
from drywallqa.synthetic.canvas import Mask, Size
from drywallqa.synthetic.walls import Kind, Wall, WallOptions, render_wall


@dataclass(frozen=True)
class Example:
    """One example wall: its name, kind, seed and options."""

    name: str
    kind: Kind
    seed: int
    options: WallOptions


EXAMPLES: tuple[Example, ...] = (
    Example("plaster-crack-raking-light", "crack", 101, WallOptions("plaster", (), 0.7, 3.0)),
    Example("paint-hairline-socket", "crack", 114, WallOptions("paint", ("socket",), 0.1, 1.4)),
    Example("grey-boards-seam", "seam", 120, WallOptions("grey board", ("print",), 0.2, scene=False)),
    Example("green-boards-seam-cable", "seam", 135, WallOptions("green board", ("cable",), 0.2, scene=False)),
    Example("grey-boards-crack-and-seam", "both", 147, WallOptions("grey board", (), 0.2, 3.0, False)),
    Example(
        "green-boards-crack-and-seam", "both", 157, WallOptions("green board", ("nails",), 0.2, 2.5, False)
    ),
    Example("paint-switch-cable-nothing", "neither", 162, WallOptions("paint", ("switch", "cable"), 0.2)),
    Example("plaster-stain-nothing", "neither", 176, WallOptions("plaster", ("stain", "socket"), 0.4)),
)
"""Two of each kind: cracks, seams, both, and neither."""


def render_example(example: Example, size: Size = (640, 640)) -> Wall:
    """Render one example on `size` (height, width) px; always the same picture."""
    return render_wall(example.seed, size, example.kind, example.options)


def write_examples(folder: str | Path, size: Size = (640, 640)) -> dict[str, Wall]:
    """Render the example walls into `folder` as NAME.png.

    Args:
        folder: Where to write; made if it is missing.
        size: Height and width of each photo in px.

    Returns:
        The walls by name, with their truth.

    Raises:
        OutputError: The folder cannot be written.
    """
    walls = {}
    for example in EXAMPLES:
        wall = walls[example.name] = render_example(example, size)
        stream = io.BytesIO()
        Image.fromarray(wall.photo).save(stream, "PNG")
        write_whole(Path(folder) / f"{example.name}.png", stream.getvalue())
    return walls


@dataclass(frozen=True)
class ExampleScore:
    """How well found masks of one concept fit the known truth of the example walls.

    Attributes:
        concept: "crack" or "taping area".
        overlaps: By wall that shows the concept, IoU of the found mask with the label.
        false_areas: By wall that does not show it, share of the photo that was marked all the same.
    """

    concept: str
    overlaps: Mapping[str, float]
    false_areas: Mapping[str, float]

    @property
    def mean_overlap(self) -> float:
        """Mean IoU over the walls that show the concept."""
        return sum(self.overlaps.values()) / len(self.overlaps)

    @property
    def false_alarms(self) -> int:
        """How many walls without the concept have more than a trace of it marked."""
        return sum(area > FALSE_ALARM_SHARE for area in self.false_areas.values())


def score_example(truths: Mapping[str, Mask], concept: str, found: Mapping[str, Mask]) -> ExampleScore:
    """Compare found masks with the truth of rendered walls, as people would have labelled it.

    Args:
        truths: Truth on each wall, bool [H,W], by the wall's name; at least one shows the concept.
        concept: The concept that the truth marks.
        found: The mask found on each wall, bool [H,W], by the wall's name.
    """
    shown = {name: truth for name, truth in truths.items() if truth.any()}
    return ExampleScore(
        concept,
        {name: Counts.of(found[name], truth).iou for name, truth in shown.items()},
        {name: float(found[name].mean()) for name in truths if name not in shown},
    )
