import pytest

from drywallqa.datasets import set_files
from drywallqa.datasets.dataset import Dataset, Sample, load_dataset, save_dataset
from drywallqa.datasets.importing import ImportOptions, import_export
from drywallqa.errors import DataError, OutputError
from tiny_exports import roboflow_coco, roboflow_yolo


def sample(name: str) -> Sample:
    return Sample(name, f"photos/a/{name}.png", "a", name, 3, 4, {"crack": None}, notes=(f"{name} mended",))


@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\udce4"])
def test_load__names_that_end_a_line_elsewhere(tmp_path, odd):
    dataset = Dataset(tmp_path, (sample(f"one{odd}more"), sample("two")), {"crack": ("crack",)})
    save_dataset(dataset)
    assert load_dataset(tmp_path) == dataset


def test_load__a_damaged_line_is_named(tmp_path):
    save_dataset(Dataset(tmp_path, (sample("one"), sample("two")), {"crack": ("crack",)}))
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"manifest.jsonl, line 2: .*truncated.*import again"):
        load_dataset(tmp_path)


def test_install_set__an_error_leaves_the_old_set_and_manifest(tmp_path, monkeypatch):
    import_export(roboflow_coco(tmp_path / "x"), tmp_path / "out", ImportOptions(["crack=crack"]))
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}

    def full(dataset):
        raise OutputError("the disk is full")

    monkeypatch.setattr(set_files, "save_dataset", full)
    options = ImportOptions(["crack=crack"], set_name="x", replace_set=True)
    with pytest.raises(OutputError, match="full"):
        import_export(roboflow_yolo(tmp_path / "y"), tmp_path / "out", options)
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("head", ["[]", '{"format_version": 1}', '{"format_version": 1, "concepts": []}'])
def test_load_dataset__a_damaged_head_is_named(tmp_path, head):
    import_export(roboflow_coco(tmp_path / "x"), tmp_path / "out", ImportOptions(["crack=crack"]))
    (tmp_path / "out" / "dataset.json").write_text(head)
    with pytest.raises(DataError, match=r"dataset\.json"):
        load_dataset(tmp_path / "out")
