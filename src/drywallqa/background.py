"""Work that goes on while something else is prepared."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


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
