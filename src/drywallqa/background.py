"""Work in the background: one call, one step ahead, or one after the other within bounds.

`concurrent.futures` is imported where it is used: it takes longer to import than a single photo may wait.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")
R = TypeVar("R")
Result = Callable[[], T]
Later = Callable[[Callable[[], T]], Callable[[], T]]

PENDING = 4  # pieces of work that wait or are being done; each holds a mask


class BackgroundCall(Generic[T]):
    """Calls a function in a thread of its own; `result` waits for it.

    A runtime builds its model outside Python, so that the modules which a run needs can be imported in the
    meantime. `concurrent.futures` would do, but takes longer to import than it saves here. The thread is no
    daemon: a process that ends while a runtime is half made would crash.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        """Start the work."""
        self._work = work
        self._done: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="meanwhile")
        self._thread.start()

    def _run(self) -> None:
        try:
            self._done.append(self._work())
        except BaseException as error:  # raised again where the result is asked for
            self._error = error

    def result(self) -> T:
        """Wait for the work and return what it made, or raise what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._done[0]


def prefetch(source: Iterable[T]) -> Iterator[T]:
    """Yield what a source yields; the next item is made while the one before it is worked on.

    At most one item waits. Errors are raised where the item was due. A consumer that stops early waits for
    the item that is being made, and no further one is.
    """
    from concurrent.futures import ThreadPoolExecutor

    items, end = iter(source), object()
    with ThreadPoolExecutor(1, "ahead") as worker:
        coming = worker.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = worker.submit(next, items, end)
            yield item  # type: ignore[misc]


def run_now(work: Callable[[], T]) -> Result[T]:
    """Do work now; what is returned gives its result (an error is raised now)."""
    result = work()
    return lambda: result


class BackgroundWriter(Generic[T]):
    """Does what it is given in the background, one after the other; giving waits where too much is pending.

    Example:
        >>> with Writer() as writer:
        ...     results = [writer.later(lambda: 6 * 7)]
        ...     results[0]()
        42
    """

    def __init__(self, pending: int = PENDING) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self._worker = ThreadPoolExecutor(1, "writer")
        self._room = threading.BoundedSemaphore(pending)

    def __enter__(self) -> BackgroundWriter[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._worker.shutdown(wait=True, cancel_futures=kind is not None)

    def later(self, work: Callable[[], T]) -> Result[T]:
        """Take work; what is returned waits for it, and gives its result or raises its error."""
        self._room.acquire()
        future = self._worker.submit(self._do, work)
        return future.result

    def _do(self, work: Callable[[], T]) -> T:
        try:
            return work()
        finally:
            self._room.release()


def map_in_threads(work: Callable[[T], R], items: Iterable[T], threads: int) -> Generator[R, None, None]:
    """Yield what work makes of each item, in order; one more than `threads` is taken from `items` ahead."""
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
