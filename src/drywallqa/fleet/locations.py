"""Read and write files on disks and in object stores through pyarrow's file systems."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drywallqa.errors import ConfigError, MissingExtraError, OutputError, PhotoError, reason_of
from drywallqa.inference.outputs import ADVICE, write_output

_STORES = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_REGION or AWS_ENDPOINT_URL if the "
    "store needs them)",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS to a key file",
    "gcs": "set GOOGLE_APPLICATION_CREDENTIALS to a key file",
}


@dataclass(frozen=True)
class Location:
    """The location of a folder or file on disk or in an object store. Instances can be pickled.

    Attributes:
        filesystem: A `pyarrow.fs.FileSystem`.
        path: Path in the file system.
        shown: Path or address from the user, without the options after "?".
    """

    filesystem: Any
    path: str
    shown: str

    @property
    def is_local(self) -> bool:
        """Whether the location is on a local or mounted disk."""
        return bool(self.filesystem.type_name == "local")

    def below(self, inner: str) -> str:
        """Convert a path relative to this location to a path in the file system."""
        return f"{self.path.rstrip('/')}/{inner}"

    def name(self, path: str) -> str:
        """Convert a path in the file system to the path or address that messages show."""
        scheme = self.shown.partition("://")[0]
        return path if self.is_local else f"{scheme}://{path}"

    def read(self, path: str) -> bytes:
        """Read the file at a path in the file system.

        Raises:
            PhotoError: The file cannot be read.
        """
        try:
            with self.filesystem.open_input_file(path) as stream:
                return bytes(stream.read())
        except OSError as error:
            raise self.unreadable(path, error) from error

    def write(self, inner: str, content: bytes, overwrite: bool) -> None:
        """Write a file below this location, atomically on a disk. A file with this content is left unchanged.

        Raises:
            OutputError: The file cannot be written, or it exists with different content and `overwrite` is
                False.
        """
        from pyarrow.fs import FileType

        target = self.below(inner)
        if self.is_local:
            write_output(Path(target), content, overwrite)
            return
        try:
            if not overwrite and self.filesystem.get_file_info(target).type == FileType.File:
                with self.filesystem.open_input_file(target) as stream:
                    present = bytes(stream.read())
                if present == content:
                    return
                raise OutputError(f"{self.name(target)} already exists with different content; {ADVICE}")
            try:
                stream = self.filesystem.open_output_stream(target)
            except FileNotFoundError:  # the file system has real folders, and this one is missing
                self.filesystem.create_dir(target.rpartition("/")[0], recursive=True)
                stream = self.filesystem.open_output_stream(target)
            with stream:
                stream.write(content)
        except OSError as error:
            raise self.unwritable(error) from error

    def entries(self, inner: str = "", *, recursive: bool = True) -> list[Any]:
        """List the files in this location, or in the folder `inner` below it, sorted by path.

        The entries are `pyarrow.fs.FileInfo`. The list is empty if the folder does not exist.

        Raises:
            OSError: The file system or store cannot be reached.
        """
        from pyarrow.fs import FileSelector, FileType

        folder = self.below(inner) if inner else self.path
        found = self.filesystem.get_file_info(FileSelector(folder, recursive=recursive, allow_not_found=True))
        return sorted((one for one in found if one.type == FileType.File), key=lambda one: str(one.path))

    def remove(self, inner: str) -> None:
        """Remove a file below this location.

        Raises:
            OutputError: The file cannot be removed.
        """
        try:
            self.filesystem.delete_file(self.below(inner))
        except OSError as error:
            raise self.unwritable(error) from error

    def unreadable(self, path: str, error: OSError) -> PhotoError:
        """Convert an `OSError` from reading a file or folder to a `PhotoError`."""
        remedy = "check the path and its permissions" if self.is_local else self._remedy()
        return PhotoError(self.name(path), f"it cannot be read ({_short(error)})", remedy)

    def unwritable(self, error: OSError) -> OutputError:
        """Convert an `OSError` from writing to this location to an `OutputError`."""
        remedy = "free some disk space or choose another folder" if self.is_local else self._remedy()
        return OutputError(f"cannot write results to {self.shown} ({_short(error)}); {remedy}")

    def _remedy(self) -> str:
        credentials = _STORES.get(self.shown.partition("://")[0])
        return f"check the address, or {credentials}" if credentials else "check the address"


def is_address(text: str) -> bool:
    """Return whether a text is an address with a scheme, such as `s3://`, and not a path."""
    return "://" in text


def open_location(text: str) -> Location:
    """Open a folder or file by its path or address, such as `s3://bucket/photos` or `gs://bucket/photos`.

    The address may contain options for pyarrow, as in `s3://bucket/photos?region=eu-central-1`.

    Raises:
        ConfigError: The address is malformed or its scheme is unknown.
        MissingExtraError: pyarrow is not installed.
    """
    try:
        from pyarrow import fs
    except ImportError as error:
        raise MissingExtraError("segmenting with --engine ray", "fleet") from error
    if not is_address(text):
        return Location(fs.LocalFileSystem(), str(Path(text).absolute()), text)
    try:
        filesystem, path = fs.FileSystem.from_uri(text)
    except (OSError, ValueError, NotImplementedError) as error:
        raise ConfigError(
            f"cannot use the address {text} ({_short(error)}); pass a local path, s3://BUCKET/PATH or "
            "gs://BUCKET/PATH"
        ) from error
    return Location(filesystem, path, text.partition("?")[0])


def _short(error: Exception) -> str:
    """Shorten the error message of a file system or store to one line."""
    text = str(error)
    for words in ("ACCESS_DENIED", "NO_SUCH_BUCKET", "NETWORK_CONNECTION", "INVALID_ACCESS_KEY_ID"):
        if words in text:
            return words.lower().replace("_", " ")
    return reason_of(error)
