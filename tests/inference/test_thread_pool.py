import threading
import time

import pytest

from drywallqa.inference.segmenter import Segmenter
from drywallqa.inference.thread_pool import MANY, SegmenterPool
from fakes import FakeBundle


def test_crew__few_photos_or_one_thread_one_at_a_time() -> None:
    segmenter = Segmenter(FakeBundle(), threads=4)
    assert SegmenterPool(segmenter, MANY - 1).segmenter is segmenter
    assert SegmenterPool(Segmenter(FakeBundle(), threads=1), 1000).size == 1
    assert SegmenterPool(Segmenter(FakeBundle(), threads=4, backend="openvino"), 1000).size == 1


def test_crew__shares_threads_out_and_keeps_the_order() -> None:
    crew = SegmenterPool(Segmenter(FakeBundle(), threads=6, precision="int8"), MANY)
    assert crew.size == 4
    assert (crew.segmenter.runtime["threads"], crew.segmenter.precision) == (1, "int8")
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

    assert list(crew.map(work, range(40))) == list(range(40))
    assert 1 < most <= 4


def test_crew__takes_few_items_ahead_and_passes_errors_on() -> None:
    crew = SegmenterPool(Segmenter(FakeBundle(), threads=2), MANY)
    taken: list[int] = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    def work(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    results = crew.map(work, items())
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    assert len(taken) <= 3 + crew.size
    with pytest.raises(ValueError, match="three"):
        next(results)
