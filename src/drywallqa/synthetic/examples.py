"""Eight example walls for the demonstration: rendered photos with ground-truth masks."""

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
    """Name, kind, seed and options of one example wall."""

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
"""Two walls with a crack, two with a seam, two with both, and two with neither."""


def render_example(example: Example, size: Size = (640, 640)) -> Wall:
    """Render one example wall with `size` (height, width) in px. The result is always the same."""
    return render_wall(example.seed, size, example.kind, example.options)


def write_examples(folder: str | Path, size: Size = (640, 640)) -> dict[str, Wall]:
    """Render the example walls into `folder` as NAME.png.

    Args:
        folder: Output folder. It is created if it does not exist.
        size: Height and width of each photo in px.

    Returns:
        Name → wall.

    Raises:
        OutputError: The folder cannot be written to.
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
    """Agreement of predicted masks with the labels of the example walls, for one concept.

    Attributes:
        concept: "crack" or "taping area".
        overlaps: Wall name → IoU of prediction and label, for walls that show the concept.
        false_areas: Wall name → marked share of the photo, for walls that do not show the concept.
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
        """Number of walls without the concept whose marked share is above `FALSE_ALARM_SHARE`."""
        return sum(area > FALSE_ALARM_SHARE for area in self.false_areas.values())


def score_example(truths: Mapping[str, Mask], concept: str, found: Mapping[str, Mask]) -> ExampleScore:
    """Compare the predicted masks for one concept with labels.

    Args:
        truths: Wall name → label mask, bool [H,W]. At least one mask must not be empty.
        concept: The concept that the masks mark.
        found: Wall name → predicted mask, bool [H,W].
    """
    shown = {name: truth for name, truth in truths.items() if truth.any()}
    return ExampleScore(
        concept,
        {name: Counts.of(found[name], truth).iou for name, truth in shown.items()},
        {name: float(found[name].mean()) for name in truths if name not in shown},
    )
