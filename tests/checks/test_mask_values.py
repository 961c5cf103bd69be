import numpy as np
import pytest

from drywallqa.checks.mask_values import MaskFacts, check_mask_files, describe_mask_file


def mask(number: int) -> np.ndarray:
    values = np.zeros((48, 48), np.uint8)
    values[5 + number : 20 + number, 8 : 30 + number] = 255
    values[20 + number : 23 + number, 8:20] = 255
    return values


def facts(change, spoiled: int = 10) -> list[MaskFacts]:
    many = [change(mask(n)) if n < spoiled else mask(n) for n in range(10)]
    return [describe_mask_file(f"{n}.png", f"set/{n}", values) for n, values in enumerate(many)]


def salted(values: np.ndarray) -> np.ndarray:
    lone = np.random.default_rng(int(values.sum())).random(values.shape) < 0.05
    return np.where(lone, 255 - values, values).astype(np.uint8)


@pytest.mark.parametrize(
    ("case", "change", "spoiled"),
    [
        ("masks-range", lambda m: m // 255, 4),
        ("labels-inverted", lambda m: 255 - m, 4),
        ("labels-missing", lambda m: m * 0, 4),
        ("masks-empty", lambda m: m * 0, 10),
        ("masks-full", lambda m: m * 0 + 255, 4),
        ("labels-noisy", salted, 4),
        ("labels-repeated", lambda m: mask(3), 4),
    ],
)
def test_check_mask_files__names_what_is_wrong(case: str, change, spoiled: int) -> None:
    found = sorted(check_mask_files(facts(change, spoiled)), key=lambda s: -s.weight)
    assert found[0].name == case


def test_check_mask_files__sound_ones_raise_nothing() -> None:
    assert list(check_mask_files(facts(lambda m: m))) == []
    assert list(check_mask_files([])) == []
