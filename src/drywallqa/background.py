"""Work in the background: one call, one item ahead, or one after the other within bounds.

`concurrent.futures` is imported where it is used: importing it takes longer than a single photo may wait.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")
R = TypeVar("R")
Result = Callable[[], T]
Later = Callable[[Callable[[], T]], Result[T]]

PENDING = 4  # calls that wait or are being done; each holds a mask


class BackgroundCall(Generic[T]):
    """Calls a function in a thread of its own; `result` waits for it.

    A runtime builds its model outside Python, so the modules that a run needs can be imported meanwhile.
    `concurrent.futures` would do, but importing it takes longer than it saves here. The thread is no daemon:
    a process that ends while a runtime is half made would crash.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        """Start the work."""
        self._work = work
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="background")
        self._thread.start()

    def _run(self) -> None:
        try:
            self._made = self._work()
        except BaseException as error:  # raised again by `result`
            self._error = error

    def result(self) -> T:
        """Wait for the work and return what it made, or raise its error."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._made


def prefetch(source: Iterable[T]) -> Iterator[T]:
    """Yield the items of a source; the next one is made while the one before it is worked on.

    At most one item waits. Errors are raised where the item was due. A consumer that stops early waits for
    the item that is being made, and no further one is.
    """
    from concurrent.futures import ThreadPoolExecutor

    items, end = iter(source), object()
    with ThreadPoolExecutor(1, "prefetch") as worker:
        coming = worker.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = worker.submit(next, items, end)
            yield item  # type: ignore[misc]


def run_now(work: Callable[[], T]) -> Result[T]:
    """Do work now and return a function that gives its result; an error is raised now."""
    result = work()
    return lambda: result


@contextmanager
def background_writer() -> Iterator[Later[Any]]:
    """Give a function that does work in the background, one call after the other.

    It waits while too much is pending, and returns a function that waits for the work and gives its result or
    raises its error. An error inside the `with` block cancels the work that has not begun.

    Example:
        >>> with background_writer() as later:
        ...     result = later(lambda: 6 * 7)
        ...     result()
        42
    """
    from concurrent.futures import ThreadPoolExecutor

    room = threading.BoundedSemaphore(PENDING)

    def later(work: Callable[[], T]) -> Result[T]:
        room.acquire()
        future = worker.submit(work)
        future.add_done_callback(lambda _: room.release())
        return future.result

    with ThreadPoolExecutor(1, "writer") as worker:
        try:
            yield later
        except BaseException:
            worker.shutdown(cancel_futures=True)
            raise


def map_in_threads(work: Callable[[T], R], items: Iterable[T], threads: int) -> Generator[R, None, None]:
    """Yield the result of work on each item, in order; at most `threads` + 1 are taken in advance."""
    from concurrent.futures import ThreadPoolExecutor

    pending: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
