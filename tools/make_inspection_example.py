"""Inspect rendered walls, and keep the report and two of its pictures: make_inspection_example.py WORK OUT.

The walls are rendered, so the example is the same on every machine and shows nobody's house.
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image

from drywallqa.files import write_whole
from drywallqa.inspection.scale_sources import ScaleOptions
from drywallqa.reports.inspection_material import ReportOptions
from drywallqa.synthetic.examples import EXAMPLES, render_example
from drywallqa.visualization.inspection_pictures import picture_folder
from drywallqa.workflows.inspect import InspectOptions, inspect

ROOMS = {"hall/north": (4, 1), "kitchen/east": (7,)}
"""Folder of a wall → places of its photos in `EXAMPLES`."""
SIZE = (720, 960)  # height and width in px
MM_PER_PIXEL = 0.5


def render(folder: Path) -> None:
    """Write the photos of the rooms below a folder."""
    for room, places in ROOMS.items():
        for place in places:
            stream = io.BytesIO()
            photo = Image.fromarray(render_example(EXAMPLES[place], SIZE).photo)
            photo.save(stream, "JPEG", quality=92)
            write_whole(folder / room / f"{EXAMPLES[place].name}.jpg", stream.getvalue())


def main(work: Path, out: Path) -> None:
    """Render, inspect and copy."""
    shutil.rmtree(work, ignore_errors=True)
    render(work / "photos")
    report = ReportOptions("Wall inspection report", "Example Client", "1 Example Street")
    options = InspectOptions(
        scale=ScaleOptions(mm_per_pixel=MM_PER_PIXEL), date="2026-11-30", reviewer="Example Reviewer",
        title="Example house", pdf=True, report=report,
    )  # fmt: skip
    summary = inspect(work / "photos", work / "inspection", options)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for path in summary.report:
        shutil.copy(path, out / path.name)
    pictures = sorted(picture_folder(work / "inspection", 1).glob("*.jpg"))
    shutil.copy(next(path for path in pictures if "overview" in path.name), out / "overview.jpg")
    shutil.copy(next(path for path in pictures if "finding" in path.name), out / "close-up.jpg")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
