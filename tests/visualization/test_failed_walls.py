import io

from PIL import Image

from drywallqa.inference.segmenter import Segmenter
from drywallqa.visualization.failure_sheets import failed_walls
from fakes import FakeBundle


def test_failed_walls__worst_of_a_model_that_marks_by_colour() -> None:
    segmenter = Segmenter(FakeBundle())
    with Image.open(io.BytesIO(failed_walls(segmenter, ["crack", "taping area"], 8))) as picture:
        assert picture.format == "JPEG"
        assert picture.height > 2 * 200, "at least a missed crack and a missed joint"
