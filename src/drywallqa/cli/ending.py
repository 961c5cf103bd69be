"""How a run of the command line ends: its exit code, and what the person is told."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any, TextIO

from drywallqa.errors import (
    DataError,
    DrywallQAError,
    MissingExtraError,
    OutputError,
    PhotoError,
    StoppedError,
)

# Exit codes beside 0. The last three are those of sysexits.h and of shells: 128 and the signal's number.
FOUND, USAGE, FAILED = 1, 2, 3
UNFORESEEN, INTERRUPTED, CLOSED_PIPE = 70, 130, 141

TRACEBACK = "DRYWALLQA_TRACEBACK"
"""The environment variable that, set to anything, has the traceback of an unforeseen error printed."""


def escape_output() -> None:
    """Have a character that standard output or standard error cannot encode written as an escape."""
    for stream in _streams():
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def flush_output() -> None:
    """Write what is left in standard output, so that a failure is met here and not as Python leaves.

    Raises:
        BrokenPipeError: Nobody reads it any more.
        OutputError: It cannot be written.
    """
    for stream in _streams():
        try:
            stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            _drop(stream)
            raise OutputError(
                f"standard output: cannot be written ({(error.strerror or str(error)).lower()}); "
                "make room for it, or send it elsewhere"
            ) from error


def code_of_exit(end: SystemExit) -> int:
    """Return the exit code of a command that ended by itself.

    Raises:
        BrokenPipeError: What ended it was a pipe that nobody reads.
    """
    import typer

    cause = end.__context__
    if isinstance(cause, BrokenPipeError):  # Typer and rich make it exit code 1
        if _raised_in(end).startswith("rich."):  # which has dropped its output already
            return CLOSED_PIPE
        raise cause
    if type(cause).__name__ == "Abort":  # the end of the input, or Ctrl-C with an older Typer
        return INTERRUPTED
    if end.code is None or isinstance(cause, typer.Exit):
        return int(end.code or 0)
    if end.code == FOUND or not isinstance(end.code, int):  # 1 is for those who found something
        if isinstance(end.code, str):
            _say(end.code)
        return USAGE if hasattr(cause, "exit_code") else UNFORESEEN
    return end.code


def code_of(error: BaseException) -> int:
    """Say what ended a run, and return the exit code for it; none is left to Python, whose own is 1."""
    if isinstance(error, BrokenPipeError) and _drop_closed():
        return CLOSED_PIPE
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    told = _lacking(error) if isinstance(error, ModuleNotFoundError) else error
    if not isinstance(told, DrywallQAError):
        _say(_unforeseen(error))
        return UNFORESEEN
    _say(f"error: {one_line(str(told))}")
    if isinstance(told, StoppedError):
        return INTERRUPTED
    return FAILED if isinstance(told, PhotoError | DataError) else USAGE


def one_line(text: str) -> str:
    """Keep a message on one line, whatever a file's name or a prompt holds."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )


def _lacking(error: ModuleNotFoundError) -> BaseException:
    """Say which optional part is missing: verbs import what they need where they need it."""
    name = (error.name or "drywallqa").split(".")[0]
    if name == "drywallqa":
        return error
    return MissingExtraError(f"this (it lacks {name})", "dev" if name == "skimage" else "train")


def _unforeseen(error: BaseException) -> str:
    """Describe an error that nobody foresaw on one line, and keep its traceback."""
    import traceback  # slow to import, and hardly ever needed

    whole = "".join(traceback.format_exception(error))
    words = one_line(" ".join(f"{type(error).__name__}: {error}".split()))
    if os.environ.get(TRACEBACK):
        return f"{whole}error: unforeseen {words}; this is a fault of drywallqa: please report it"
    return (
        f"error: unforeseen {words}; this is a fault of drywallqa: please report it with "
        f"{_kept(whole)} (set {TRACEBACK}=1 to see it at once)"
    )


def _kept(whole: str) -> str:
    """Keep a traceback in a file, and name that."""
    import tempfile

    try:
        number, path = tempfile.mkstemp(".txt", "drywallqa-traceback-")
        with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(whole)
    except OSError:
        return "its traceback"
    return f"the traceback in {path}"


def _say(text: str) -> None:
    with suppress(OSError, ValueError):  # nobody may be listening, which must not hide the exit code
        print(text, file=sys.stderr, flush=True)


def _streams() -> list[TextIO]:
    """The streams as they are; a windowed Python has none, and Typer wraps them after a closed pipe."""
    found: list[Any] = [sys.stdout, sys.stderr]
    return [getattr(stream, "wrapped", stream) for stream in found if stream is not None]


def _raised_in(error: BaseException) -> str:
    """Name the module that raised an error."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return str(place.tb_frame.f_globals.get("__name__", "")) if place else ""


def _drop_closed() -> bool:
    """Tell whether standard output or standard error is a pipe that nobody reads, and leave it for good."""
    closed = [stream for stream in _streams() if _is_closed(stream)]
    for stream in closed:
        _drop(stream)
    return bool(closed)


def _is_closed(stream: TextIO) -> bool:
    """Tell whether nobody reads a stream; where a system cannot say, it is taken for the culprit."""
    import select

    try:
        if not hasattr(select, "poll"):
            return True
        poll = select.poll()
        poll.register(stream.fileno(), 0)  # a closed end is told of unasked
        return bool(poll.poll(0))
    except (OSError, ValueError):  # no file behind it, as under a test's capture
        return False


def _drop(stream: TextIO) -> None:
    """Send the rest of a stream nowhere, so that Python does not fail to write it at its end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()
