"""Read and write folders on this machine or in an object store through pyarrow's file systems."""

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
    """A folder or a file in a file system. It can be sent to other processes.

    Attributes:
        filesystem: A `pyarrow.fs.FileSystem`.
        path: The path in the file system.
        shown: The path that the user passed, without options.
    """

    filesystem: Any
    path: str
    shown: str

    @property
    def is_local(self) -> bool:
        """Whether the location is on a local or mounted disk."""
        return bool(self.filesystem.type_name == "local")

    def below(self, inner: str) -> str:
        """Return the path, in the file system, of a relative path below this location."""
        return f"{self.path.rstrip('/')}/{inner}"

    def name(self, path: str) -> str:
        """Convert a path in the file system to the path or address that a user would write."""
        scheme = self.shown.partition("://")[0]
        return path if self.is_local else f"{scheme}://{path}"

    def read(self, path: str) -> bytes:
        """Read a file by its path in the file system.

        Raises:
            PhotoError: The file cannot be read.
        """
        try:
            with self.filesystem.open_input_file(path) as stream:
                return bytes(stream.read())
        except OSError as error:
            raise self.unreadable(path, error) from error

    def write(self, inner: str, content: bytes, overwrite: bool) -> None:
        """Write a file below this location atomically, unless it already exists with this content.

        Raises:
            OutputError: The file cannot be written, or exists with different content and `overwrite` is
                false.
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
            except FileNotFoundError:  # this file system has folders, and the file's folder is missing
                self.filesystem.create_dir(target.rpartition("/")[0], recursive=True)
                stream = self.filesystem.open_output_stream(target)
            with stream:
                stream.write(content)
        except OSError as error:
            raise self.unwritable(error) from error

    def entries(self, inner: str = "", *, recursive: bool = True) -> list[Any]:
        """List the files in this location, or in a folder below it, as `pyarrow.fs.FileInfo`, sorted by path.

        The list is empty if the folder does not exist.

        Raises:
            OSError: The store cannot be reached.
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
        """Create the error for a file or folder that cannot be read."""
        remedy = "check the path and its permissions" if self.is_local else self._remedy()
        return PhotoError(self.name(path), f"it cannot be read ({_short(error)})", remedy)

    def unwritable(self, error: OSError) -> OutputError:
        """Create the error for a location that cannot be written to."""
        remedy = "free some disk space or choose another folder" if self.is_local else self._remedy()
        return OutputError(f"{self.shown}: cannot write results here ({_short(error)}); {remedy}")

    def _remedy(self) -> str:
        credentials = _STORES.get(self.shown.partition("://")[0])
        return f"check the address, or {credentials}" if credentials else "check the address"


def is_address(text: str) -> bool:
    """Return whether a path is an address with a scheme, such as `s3://`."""
    return "://" in text


def open_location(text: str) -> Location:
    """Open a folder or file by its path or address, such as `s3://bucket/photos` or `gs://bucket/photos`.

    The address can have pyarrow's options: `s3://bucket/photos?region=eu-central-1`.

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
            f"{text}: this address cannot be used ({_short(error)}); pass a local path, s3://BUCKET/PATH or "
            "gs://BUCKET/PATH"
        ) from error
    return Location(filesystem, path, text.partition("?")[0])


def _short(error: Exception) -> str:
    """Shorten the multi-line error message of a store."""
    text = str(error)
    for words in ("ACCESS_DENIED", "NO_SUCH_BUCKET", "NETWORK_CONNECTION", "INVALID_ACCESS_KEY_ID"):
        if words in text:
            return words.lower().replace("_", " ")
    return reason_of(error)
