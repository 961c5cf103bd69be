"""Exit codes and error messages of the command line."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

from drywallqa.errors import (
    DataError,
    DrywallQAError,
    LeakError,
    MissingExtraError,
    OutputError,
    PhotoError,
    StoppedError,
)

# Exit codes other than 0. 70 comes from sysexits.h. 130 and 141 are 128 + the signal number, as in shells.
FOUND, USAGE, FAILED = 1, 2, 3
UNFORESEEN, INTERRUPTED, CLOSED_PIPE = 70, 130, 141

# Name of the environment variable that makes the command print the traceback of an unexpected error.
TRACEBACK = "DRYWALLQA_TRACEBACK"


def escape_output() -> None:
    """Make stdout and stderr escape the characters that their encoding lacks."""
    for stream in _streams():
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def flush_output() -> None:
    """Flush the output streams now, because an error while Python exits could not be handled.

    Raises:
        BrokenPipeError: The reader of a stream closed the pipe.
        OutputError: A stream cannot be written.
    """
    for stream in _streams():
        try:
            stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            _discard(stream)
            raise OutputError(
                f"cannot write to standard output ({(error.strerror or str(error)).lower()}); "
                "free some disk space or redirect the output to another disk"
            ) from error


def code_of_exit(end: SystemExit) -> int:
    """Return the exit code of a command that ended with `SystemExit`.

    Raises:
        BrokenPipeError: The command ended because of a closed pipe.
    """
    import typer

    cause = end.__context__
    if isinstance(cause, BrokenPipeError):  # Typer and rich turn a closed pipe into exit code 1
        place = end.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        if place and str(place.tb_frame.f_globals.get("__name__", "")).startswith("rich."):
            return CLOSED_PIPE  # rich has already discarded its output
        raise cause
    if type(cause).__name__ == "Abort":  # end of the input, or Ctrl-C in an older Typer
        return INTERRUPTED
    if end.code is None or isinstance(cause, typer.Exit):
        return int(end.code or 0)
    if isinstance(end.code, int) and end.code != FOUND:  # 1 is reserved for commands that found a problem
        return end.code
    if isinstance(end.code, str):
        _print_error(end.code)
    return USAGE if hasattr(cause, "exit_code") else UNFORESEEN


def code_of(error: BaseException) -> int:
    """Print the error that ended the command, and return the exit code for it."""
    if isinstance(error, BrokenPipeError):
        closed = [stream for stream in _streams() if _is_closed(stream)]
        for stream in closed:
            _discard(stream)
        if closed:
            return CLOSED_PIPE
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, ModuleNotFoundError):  # an optional package is missing
        name = (error.name or "drywallqa").split(".")[0]
        if name != "drywallqa":
            error = MissingExtraError(
                f"this command (the package {name} is missing)", "dev" if name == "skimage" else "train"
            )
    if not isinstance(error, DrywallQAError):
        _print_error(_describe_unforeseen(error))
        return UNFORESEEN
    _print_error(f"error: {one_line(str(error))}")
    if isinstance(error, StoppedError):
        return INTERRUPTED
    if isinstance(error, LeakError):
        return FOUND
    return FAILED if isinstance(error, PhotoError | DataError) else USAGE


def one_line(text: str) -> str:
    """Escape line breaks and control characters, for example from file names or prompts in a message."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )


def _describe_unforeseen(error: BaseException) -> str:
    """Describe an unexpected error in one line, and save its traceback to a file."""
    import tempfile
    import traceback  # rarely needed and slow to import

    whole = "".join(traceback.format_exception(error))
    words = one_line(" ".join(f"{type(error).__name__}: {error}".split()))
    fault = f"error: unexpected {words}; this is a bug in drywallqa; please report it"
    if os.environ.get(TRACEBACK):
        return whole + fault
    saved = "its traceback"
    with suppress(OSError):
        number, path = tempfile.mkstemp(".txt", "drywallqa-traceback-")
        with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(whole)
        saved = f"the traceback in {path}"
    return f"{fault} with {saved} (set {TRACEBACK}=1 to print it)"


def _print_error(text: str) -> None:
    with suppress(OSError, ValueError):  # a closed stream must not change the exit code
        print(text, file=sys.stderr, flush=True)


def _streams() -> list[Any]:
    """Return stdout and stderr without Typer's wrappers. Without a console, Python has no such streams."""
    found: list[Any] = [sys.stdout, sys.stderr]
    return [getattr(stream, "wrapped", stream) for stream in found if stream is not None]


def _is_closed(stream: Any) -> bool:
    """Return whether the reader of a stream closed the pipe; True if the system has no `poll`."""
    import select

    if not hasattr(select, "poll"):
        return True
    try:
        poll = select.poll()
        poll.register(stream.fileno(), 0)  # 0: report only errors, such as a closed pipe
        return bool(poll.poll(0))
    except (OSError, ValueError):  # the stream has no file descriptor, for example in tests
        return False


def _discard(stream: Any) -> None:
    """Redirect a stream to the null device, so that Python can flush the stream at exit."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()
