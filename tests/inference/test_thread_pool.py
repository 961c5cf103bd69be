"""Several photos at a time: how many, in which order, and how far ahead."""

import threading
import time

import pytest

from drywallqa.background import map_in_threads
from drywallqa.inference.batch_run import MANY, share_threads
from drywallqa.inference.segmenter import Segmenter
from drywallqa.onnx_session import RuntimeOptions
from fakes import FakeBundle


def test_share_threads__few_photos_or_one_thread_one_at_a_time() -> None:
    def size(photos: int, **runtime: object) -> int:
        return share_threads(Segmenter(FakeBundle(), RuntimeOptions(**runtime)), photos)[1]

    segmenter = Segmenter(FakeBundle(), RuntimeOptions(threads=4))
    assert share_threads(segmenter, MANY - 1) == (segmenter, 1)
    assert size(1000, threads=1) == size(1000, threads=4, backend="openvino") == 1
    assert size(1000, threads=4, device="cuda") == 1


def test_share_threads__each_photo_has_its_share() -> None:
    shared, size = share_threads(Segmenter(FakeBundle(), RuntimeOptions(threads=6, precision="int8")), MANY)
    assert size == 4
    assert (shared.runtime["threads"], shared.precision) == (1, "int8")


def test_map_in_threads__keeps_the_order() -> None:
    at_once, most, lock = 0, 0, threading.Lock()

    def work(number: int) -> int:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.002 * (number % 3))
        with lock:
            at_once -= 1
        return number

    assert list(map_in_threads(work, range(40), 4)) == list(range(40))
    assert 1 < most <= 4


def test_map_in_threads__takes_few_items_ahead_and_passes_errors_on() -> None:
    taken: list[int] = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    def work(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    results = map_in_threads(work, items(), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    assert len(taken) <= 3 + 2
    with pytest.raises(ValueError, match="three"):
        next(results)
