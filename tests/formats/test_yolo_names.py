import pytest

from drywallqa.errors import DataError
from drywallqa.formats.yolo_names import class_list_above, read_class_list
from tiny_exports import write_text


@pytest.mark.parametrize(
    "text",
    [
        "names: ['a, b', \"c]\", d e]\n",
        "names: [\n  'a, b',\n  'c]', d e\n]\nnc: 3\n",
        "names:\n- 'a, b'\n- c]\n- d e  # third\nnc: 3\n",
        "names:\n  0: a, b\n  1: 'c]'\n  2: \"d e\"\nnc: 3\n",
        "path: x\nnames: {0: 'a, b', 1: 'c]', 2: d e}\n",
    ],
)
def test_class_names__of_yaml(tmp_path, text):
    write_text(tmp_path / "data.yaml", text)
    assert read_class_list(tmp_path / "data.yaml").names == {0: "a, b", 1: "c]", 2: "d e"}


def test_class_names__are_text_whatever_they_look_like(tmp_path):
    write_text(tmp_path / "data.yaml", "names: [no, 1, 2024-05-18, 'it''s', \"a \\\"b\\\"\"]")
    assert list(read_class_list(tmp_path / "data.yaml").names.values()) == [
        "no",
        "1",
        "2024-05-18",
        "it's",
        'a "b"',
    ]


@pytest.mark.parametrize(
    "text", ["nc: 1\n", "names: []\n", "names: [crack\n", "names: {a: crack}\n", "- crack\n"]
)
def test_class_names__none_or_damaged_are_refused(tmp_path, text):
    write_text(tmp_path / "data.yaml", text)
    with pytest.raises(DataError, match="class names"):
        read_class_list(tmp_path / "data.yaml")


def test_class_names__keep_their_numbers(tmp_path):
    write_text(tmp_path / "data.yaml", "names: ['crack', '', 'seam']\n")
    assert read_class_list(tmp_path / "data.yaml").names == {0: "crack", 2: "seam"}
    write_text(tmp_path / "classes.txt", "crack\n\nseam\n")
    with pytest.raises(DataError, match="line 2 is empty"):
        read_class_list(tmp_path / "classes.txt")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("names: crack\n", "instead of a list"),
        ("names:\n  0: crack\n  1: crack\n  1: seam\n", "'1' occurs twice"),
        ("names: [crack]\nnc: 1\nnames: [seam]\n", "'names' occurs twice"),
    ],
)
def test_class_names__with_two_meanings_are_refused(tmp_path, text, words):
    write_text(tmp_path / "data.yaml", text)
    with pytest.raises(DataError, match=words):
        read_class_list(tmp_path / "data.yaml")


def test_class_lists__of_one_folder_must_agree(tmp_path):
    write_text(tmp_path / "data.yaml", "names: [crack, seam]\n")
    write_text(tmp_path / "classes.txt", "crack\n")
    assert class_list_above(tmp_path, tmp_path).names == {0: "crack", 1: "seam"}
    write_text(tmp_path / "classes.txt", "seam\ncrack\n")
    with pytest.raises(DataError, match=r"'crack', but classes\.txt names it 'seam'"):
        class_list_above(tmp_path, tmp_path)


def test_class_names__of_notes(tmp_path):
    write_text(
        tmp_path / "notes.json", '{"categories": [{"id": 1, "name": "seam"}, {"id": "0", "name": "crack"}]}'
    )
    assert class_list_above(tmp_path, tmp_path).names == {0: "crack", 1: "seam"}
    write_text(
        tmp_path / "notes.json", '{"categories": [{"id": 1, "name": "seam"}, {"id": 1, "name": "crack"}]}'
    )
    with pytest.raises(DataError, match=r"notes\.json: the class names cannot be read"):
        class_list_above(tmp_path, tmp_path)
    write_text(tmp_path / "notes.json", '{"author": "Ada"}')
    with pytest.raises(DataError, match="no file with class names"):
        class_list_above(tmp_path, tmp_path)
