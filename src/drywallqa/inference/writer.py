"""Work that may be finished a little later, in a thread of its own and in its order, within bounds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")
Result = Callable[[], T]
Later = Callable[[Callable[[], T]], Callable[[], T]]

PENDING = 4  # pieces of work that wait or are being done; each holds a mask


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
        from concurrent.futures import ThreadPoolExecutor  # slow to import, and a single photo needs none

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
