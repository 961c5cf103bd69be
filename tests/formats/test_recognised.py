import pytest

from drywallqa.errors import DataError
from drywallqa.formats.exports import read_export
from tiny_exports import roboflow_yolo, write_photo, write_text

FILES = [
    ("labelbox", "export.ndjson", '{"data_row": {"id": "c"}, "projects": {}}'),
    ("via", "via.json", '{"_via_settings": {}, "_via_img_metadata": {}}'),
    ("via", "via.csv", "filename,file_size,region_shape_attributes\n"),
    (
        "darwin",
        "a.json",
        '{"version": "2.0", "schema_ref": "https://darwin/", "item": {}, "annotations": []}',
    ),
    ("superannotate", "a.json", '{"metadata": {}, "instances": [{"className": "crack"}]}'),
    ("createml", "c.json", '[{"image": "a.jpg", "annotations": [{"label": "x", "coordinates": {"x": 1}}]}]'),
    ("datumaro", "d.json", '{"info": {}, "categories": {}, "items": []}'),
    ("cityscapes", "a_gtFine_polygons.json", '{"imgHeight": 64, "imgWidth": 64, "objects": []}'),
    ("vott", "a-asset.json", '{"asset": {"name": "a.jpg"}, "regions": [{"tags": ["crack"]}]}'),
    ("openimages", "train.csv", "ImageID,Source,LabelName,Confidence\n"),
    ("tfrecord", "train.tfrecord", "x"),
]


@pytest.mark.parametrize(("name", "file", "text"), FILES)
def test_read__other_tools_are_named_with_the_way_to_convert(tmp_path, name, file, text):
    write_photo(tmp_path / "a.jpg", 1)
    write_text(tmp_path / file, text)
    with pytest.raises(DataError, match=r"this is a .* not read directly; .*(COCO|coco)") as error:
        read_export(tmp_path)
    assert name[:3] in str(error.value).lower().replace(" ", "")


def test_read__another_format_beside_labels_that_can_be_read_is_counted(tmp_path):
    write_text(roboflow_yolo(tmp_path) / "via.csv", "filename,file_size,region_shape_attributes\n")
    with pytest.raises(DataError, match=r"VIA.*choose one with --format yolo$"):
        read_export(tmp_path)
    export = read_export(tmp_path, "yolo")
    assert any("1 VGG Image Annotator (VIA) project file" in str(problem) for problem in export.problems)
