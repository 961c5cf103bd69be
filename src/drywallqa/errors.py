"""Every error that a user can meet. A message says what was wrong, in which file, and what to do."""

from __future__ import annotations

from pathlib import Path


class DrywallQAError(Exception):
    """Base of all errors of this package; its text is one sentence meant for the user."""


class PhotoError(DrywallQAError):
    """A photo cannot be read. The message starts with the file it is about."""

    def __init__(self, source: str | Path, problem: str, remedy: str) -> None:
        self.source = str(source)
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{self.source}: {problem}; {remedy}")

    def __reduce__(self) -> tuple[type[PhotoError], tuple[str, str, str]]:
        return type(self), (self.source, self.problem, self.remedy)


class PromptError(DrywallQAError):
    """A prompt that cannot be used as it stands (empty, too long, control characters only)."""


class UnknownPromptError(PromptError):
    """A prompt about something the model has never learnt, about two things at once, or negated."""


class DataError(DrywallQAError):
    """A data set, or one item of it, is not as it should be."""


class LeakError(DrywallQAError):
    """Photos that a model is to be measured on show photographs that it was trained on."""


class BundleError(DrywallQAError):
    """A bundle is missing, damaged, or of a version that this package does not read."""


class BackendError(DrywallQAError):
    """A backend is not installed or cannot run the model."""


class MissingExtraError(DrywallQAError):
    """A feature was asked for whose optional dependencies are not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        self.feature = feature
        self.extra = extra
        super().__init__(f"{feature} needs the optional part '{extra}': pip install 'drywallqa[{extra}]'")

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        return type(self), (self.feature, self.extra)


class OutputError(DrywallQAError):
    """A result cannot be written where it was asked for."""


class ConfigError(DrywallQAError):
    """A setting has an unknown name or an impossible value."""


class ModelError(DrywallQAError):
    """A model name, checkpoint or set of weights that does not fit."""


class AlarmError(DrywallQAError):
    """A check before training, or an alarm during it, stopped the run; the message names the cause."""


class StoppedError(DrywallQAError):
    """A run was stopped from the keyboard, after it was saved."""
