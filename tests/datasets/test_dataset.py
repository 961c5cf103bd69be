import pytest

from drywallqa.datasets.dataset import Dataset, Sample, load_dataset, save_dataset
from drywallqa.errors import DataError


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
