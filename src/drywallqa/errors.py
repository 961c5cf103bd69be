"""All errors that a user can encounter. Each message names the problem, the file and a remedy."""

from __future__ import annotations

from pathlib import Path


class DrywallQAError(Exception):
    """Base class of all errors of this package. The message is one sentence for the user."""


class PhotoError(DrywallQAError):
    """A photo cannot be read. The message starts with the file name."""

    def __init__(self, source: str | Path, problem: str, remedy: str) -> None:
        super().__init__(str(source), problem, remedy)
        self.source = str(source)

    def __str__(self) -> str:
        return "{}: {}; {}".format(*self.args)


class PromptError(DrywallQAError):
    """A prompt cannot be used (empty, too long, or only control characters)."""


class UnknownPromptError(PromptError):
    """A prompt is negated, or names two things or a thing that the model was not trained on."""


class DataError(DrywallQAError):
    """A data set or one of its items is invalid."""


class LeakError(DrywallQAError):
    """An evaluation contains photos that the model was trained on."""


class BundleError(DrywallQAError):
    """A bundle is missing or damaged, or has a version that this package cannot read."""


class BackendError(DrywallQAError):
    """A backend is not installed or cannot run the model."""


class MissingExtraError(DrywallQAError):
    """A feature needs optional dependencies that are not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(feature, extra)

    def __str__(self) -> str:
        return "{0} needs the optional extra '{1}': pip install 'drywallqa[{1}]'".format(*self.args)


class OutputError(DrywallQAError):
    """A result cannot be written."""


class ConfigError(DrywallQAError):
    """A setting has an unknown name or an invalid value."""


class ModelError(DrywallQAError):
    """A model name is unknown, or a checkpoint or weights do not fit the model."""


class ScaleError(DrywallQAError):
    """A length, a scale or a marker cannot be used."""


class RuleError(DrywallQAError):
    """A rule set does not exist, or its file contains something that is not allowed."""


class ReviewError(DrywallQAError):
    """A review does not fit the inspection. The message names the file and the row."""


class AlarmError(DrywallQAError):
    """A check before training or an alarm during training stopped the run. The message names the cause."""


class StoppedError(DrywallQAError):
    """The user interrupted a run from the keyboard, and the run was saved before it stopped."""


def reason_of(error: Exception) -> str:
    """Describe in a few words why reading or writing a file failed."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    words = " ".join(str(error).split()) or type(error).__name__
    return words if len(words) <= 80 else words[:79] + "…"
