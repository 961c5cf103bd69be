import threading
from collections.abc import Iterator

import pytest

from drywallqa.background import prefetch


def test_ahead__order_and_end() -> None:
    assert list(prefetch(range(5))) == [0, 1, 2, 3, 4]
    assert list(prefetch([])) == []
    assert list(prefetch([None, None])) == [None, None]


def test_ahead__makes_one_item_in_advance_and_no_more() -> None:
    made: list[int] = []
    second, third = threading.Event(), threading.Event()

    def source() -> Iterator[int]:
        for number in range(4):
            made.append(number)
            {1: second, 2: third}.get(number, threading.Event()).set()
            yield number

    stream = prefetch(source())
    assert next(stream) == 0
    assert second.wait(10), "the next item is made while this one is used"
    assert not third.is_set()
    stream.close()  # type: ignore[attr-defined]
    assert made == [0, 1]


def test_ahead__errors_come_in_their_turn() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    stream = prefetch(source())
    assert next(stream) == 1
    with pytest.raises(ValueError, match="broken"):
        next(stream)
