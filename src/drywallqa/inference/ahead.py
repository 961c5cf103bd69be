"""Work done one step ahead in a thread of its own, while what came before is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def prefetch(source: Iterable[T]) -> Iterator[T]:
    """Yield what a source yields; the next item is made while the one before it is worked on.

    At most one item waits. Errors are raised where the item was due. A consumer that stops early waits for
    the item that is being made, and no further one is.
    """
    from concurrent.futures import ThreadPoolExecutor  # not on the way to the first mask of a small photo

    items, end = iter(source), object()
    with ThreadPoolExecutor(1, "ahead") as worker:
        coming = worker.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = worker.submit(next, items, end)
            yield item  # type: ignore[misc]
