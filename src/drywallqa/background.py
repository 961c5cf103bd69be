"""Run work in background threads: a single call, prefetched items, or a bounded queue of calls.

`concurrent.futures` is imported only when it is needed, because importing it takes noticeable time.
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

PENDING = 4  # maximum number of queued or running calls; each keeps a mask in memory


class BackgroundCall(Generic[T]):
    """Calls a function in a separate thread; `result` waits for it.

    A runtime such as ONNX Runtime loads a model without blocking Python, so Python can import modules at the
    same time. This class avoids `concurrent.futures`, because importing it takes longer than the parallel
    imports save. The thread is not a daemon thread, because a process crashes if it exits while a daemon
    thread loads a model.
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
        """Wait for the work and return its result, or raise its error."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._made


def prefetch(source: Iterable[T]) -> Iterator[T]:
    """Yield the items of a source, and produce the next item while the caller processes the current one.

    At most one item is prefetched. If the source fails to produce an item, the error is raised when the
    caller requests this item. If the caller stops early, the iterator finishes the item in progress and
    produces no further items.
    """
    from concurrent.futures import ThreadPoolExecutor

    items, end = iter(source), object()
    with ThreadPoolExecutor(1, "prefetch") as worker:
        coming = worker.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = worker.submit(next, items, end)
            yield item  # type: ignore[misc]


def run_now(work: Callable[[], T]) -> Result[T]:
    """Call `work` immediately, and return a function that returns the result. Errors are raised at once."""
    result = work()
    return lambda: result


@contextmanager
def background_writer() -> Iterator[Later[Any]]:
    """Yield a function that runs calls in the background, one after the other.

    The function blocks while too many calls are pending. It returns a function that waits for the call and
    returns its result or raises its error. An error inside the `with` block cancels calls that have not
    started.

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
    """Yield the result of `work` for each item, in order, and read at most `threads` + 1 items ahead."""
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
