"""Which settings a sweep varies, and over what: `name=low..high` or `name=a,b,c`."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

import yaml

from drywallqa.errors import ConfigError
from drywallqa.training.config import known_names

_DECADE = 10.0
"""Ratio of a range's ends from which values are drawn evenly over its logarithm."""


@dataclass(frozen=True)
class Field:
    """One setting that a sweep varies.

    Attributes:
        name: Dotted, as in `--set`.
        low: The range's lower end; None for a list of values.
        high: Its upper end.
        values: The list of values.
    """

    name: str
    low: float | None = None
    high: float | None = None
    values: tuple[Any, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether the range holds whole numbers alone."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def log(self) -> bool:
        """Whether values are drawn evenly over the logarithm."""
        if self.low is None or self.high is None or self.low <= 0:
            return False
        return self.high / self.low >= _DECADE

    def distribution(self) -> Any:
        """Say the range in Optuna's words."""
        from optuna import distributions

        if self.low is None or self.high is None:
            return distributions.CategoricalDistribution(self.values)
        if self.whole:
            return distributions.IntDistribution(int(self.low), int(self.high), log=self.log)
        return distributions.FloatDistribution(self.low, self.high, log=self.log)

    def text(self) -> str:
        """Say the field as the command line does."""
        if self.low is None:
            return f"{self.name}={','.join(map(str, self.values))}"
        return f"{self.name}={self.low}..{self.high}"


def parse_field(text: str) -> Field:
    """Read one field.

    Raises:
        ConfigError: The setting is not known, or the values cannot be read.
    """
    name, equals, values = text.partition("=")
    if not equals or not values.strip():
        raise ConfigError(f"--field {text}: write it as name=low..high or name=a,b,c")
    name = name.strip()
    known = known_names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
        raise ConfigError(f"--field {text}: setting '{name}' is not known; the nearest is '{near[0]}'")
    if ".." in values:
        low, high = (_number(end, text) for end in values.split("..", 1))
        if not low < high:
            raise ConfigError(f"--field {text}: the lower end comes first")
        return Field(name, low, high)
    try:
        chosen = tuple(_value(value) for value in values.split(","))
    except yaml.YAMLError as error:
        raise ConfigError(f"--field {text}: values are numbers, words, true or false") from error
    return Field(name, values=chosen)


def _value(text: str) -> Any:
    """Read a value as YAML does, and 1e-4 as the number that people mean by it."""
    try:
        return _number(text, text)
    except ConfigError:
        return yaml.safe_load(text)


def _number(text: str, field: str) -> float:
    for kind in (int, float):
        try:
            return kind(text.strip())
        except ValueError:
            continue
    raise ConfigError(f"--field {field}: '{text}' is no number")
