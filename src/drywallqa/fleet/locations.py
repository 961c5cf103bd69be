"""Folders on this machine or in an object store, read and written through pyarrow's file systems."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drywallqa.errors import ConfigError, DrywallQAError, MissingExtraError, OutputError, PhotoError
from drywallqa.imaging import photos
from drywallqa.inference import outputs

_STORES = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_REGION or AWS_ENDPOINT_URL where the "
    "store needs them)",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS to a key's file",
    "gcs": "set GOOGLE_APPLICATION_CREDENTIALS to a key's file",
}


@dataclass(frozen=True)
class FileEntry:
    """A file in a place.

    Attributes:
        path: Its path in the file system.
        size: Bytes.
        modified: When it was last changed, in nanoseconds since 1970.
    """

    path: str
    size: int
    modified: int


@dataclass(frozen=True)
class Location:
    """A folder, or a single file, of a file system; travels to other processes.

    Attributes:
        filesystem: A `pyarrow.fs.FileSystem`.
        path: The path in it.
        shown: The path as a person wrote it, without options.
    """

    filesystem: Any
    path: str
    shown: str

    @property
    def is_local(self) -> bool:
        """Whether it lies on a disk of this machine (or one that is mounted)."""
        return bool(self.filesystem.type_name == "local")

    def below(self, inner: str) -> str:
        """Return the path, in the file system, of something below the place."""
        return f"{self.path.rstrip('/')}/{inner}"

    def name(self, path: str) -> str:
        """Return a path in the file system as a person would write it."""
        scheme = self.shown.partition("://")[0]
        return path if self.is_local else f"{scheme}://{path}"

    def read(self, path: str) -> bytes:
        """Read a file by its path in the file system.

        Raises:
            PhotoError: It cannot be read.
        """
        try:
            with self.filesystem.open_input_file(path) as stream:
                return bytes(stream.read())
        except OSError as error:
            raise self.unreadable(path, error) from error

    def write(self, inner: str, content: bytes, *, overwrite: bool) -> None:
        """Write a file below the place, whole or not at all, unless it lies there with this content.

        Raises:
            OutputError: It cannot be written, or would replace other content without `overwrite`.
        """
        target = self.below(inner)
        if self.is_local:
            outputs.write_output(Path(target), content, overwrite=overwrite)
            return
        try:
            if not overwrite and (there := self._content(target)) is not None:
                if there == content:
                    return
                raise OutputError(
                    f"{self.name(target)}: is there already with other content; {outputs.ADVICE}"
                )
            self._put(target, content)
        except OSError as error:
            raise self.unwritable(error) from error

    def _put(self, path: str, content: bytes) -> None:
        try:
            stream = self.filesystem.open_output_stream(path)
        except FileNotFoundError:  # a file system that has folders; where there are none, none is asked for
            self.filesystem.create_dir(path.rpartition("/")[0], recursive=True)
            stream = self.filesystem.open_output_stream(path)
        with stream:
            stream.write(content)

    def _content(self, path: str) -> bytes | None:
        from pyarrow.fs import FileType

        if self.filesystem.get_file_info(path).type != FileType.File:
            return None
        with self.filesystem.open_input_file(path) as stream:
            return bytes(stream.read())

    def entries(self, inner: str = "", *, recursive: bool = True) -> list[FileEntry]:
        """List the files in the place, or in a folder below it; none where that does not exist.

        Raises:
            OSError: The store cannot be reached.
        """
        from pyarrow.fs import FileSelector, FileType

        folder = self.below(inner) if inner else self.path
        selector = FileSelector(folder, recursive=recursive, allow_not_found=True)
        found = self.filesystem.get_file_info(selector)
        return sorted(
            (FileEntry(one.path, one.size, one.mtime_ns or 0) for one in found if one.type == FileType.File),
            key=lambda entry: entry.path,
        )

    def remove(self, inner: str) -> None:
        """Remove a file below the place.

        Raises:
            OutputError: It cannot be removed.
        """
        try:
            self.filesystem.delete_file(self.below(inner))
        except OSError as error:
            raise self.unwritable(error) from error

    def unreadable(self, path: str, error: OSError) -> PhotoError:
        """Say that a file or folder cannot be read, and what to do."""
        remedy = "check the path and its permissions"
        if not self.is_local:
            remedy = _remedy(self.shown)
        return PhotoError(self.name(path), f"it cannot be read ({_short(error)})", remedy)

    def unwritable(self, error: OSError) -> OutputError:
        """Say that nothing can be written here, and what to do."""
        remedy = "make room for it or choose another folder" if self.is_local else _remedy(self.shown)
        return OutputError(f"{self.shown}: no results can be written here ({_short(error)}); {remedy}")


def is_address(text: str) -> bool:
    """Tell whether a path names an object store (or any file system by its scheme)."""
    return "://" in text


def open_location(text: str) -> Location:
    """Open a folder or file by its path or address, such as `s3://bucket/photos` or `gs://bucket/photos`.

    Options may follow an address, as pyarrow takes them: `s3://bucket/photos?region=eu-central-1`.

    Raises:
        ConfigError: The address is of no file system that is known, or is malformed.
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
            f"{text}: this address cannot be used ({_short(error)}); give a local path, s3://BUCKET/PATH or "
            "gs://BUCKET/PATH"
        ) from error
    return Location(filesystem, path, text.partition("?")[0])


def _remedy(shown: str) -> str:
    way_in = _STORES.get(shown.partition("://")[0])
    return f"check the address, or {way_in}" if way_in else "check the address"


def _short(error: Exception) -> str:
    """Say a store's error in few words: its messages run over several lines."""
    text = str(error)
    for words in ("ACCESS_DENIED", "NO_SUCH_BUCKET", "NETWORK_CONNECTION", "INVALID_ACCESS_KEY_ID"):
        if words in text:
            return words.lower().replace("_", " ")
    return photos.reason_of(error)


def as_photo_error(shown: str, error: Exception) -> PhotoError:
    """Turn whatever happened to one photo into an error about it."""
    if isinstance(error, PhotoError):
        return error
    if isinstance(error, DrywallQAError):
        return PhotoError(shown, str(error), "mend this, and run again")
    problem = f"it could not be segmented ({type(error).__name__}: {photos.reason_of(error)})"
    return PhotoError(shown, problem, "leave it out, or try it alone")
