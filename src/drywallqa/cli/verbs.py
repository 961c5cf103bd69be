"""The root command. It imports the module of a subcommand only if the user runs it.

Since version 0.27, Typer converts every argument with pydantic. Importing pydantic takes half of the time
that the start-up may take. Text arguments and missing options need no conversion, so this module lets these
arguments skip pydantic. With an older Typer, the module changes nothing.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from drywallqa._version import __version__
from drywallqa.errors import MissingExtraError


class _TextConversion:
    """Replacement for Typer's conversion of an argument. It leaves text unchanged."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        annotation = param.type_descriptor.annotation
        if annotation is str and isinstance(value, str):
            return value
        if annotation == list[str] and not isinstance(value, str) and all(isinstance(v, str) for v in value):
            return list(value)
        param._runtime_param = None  # Typer converts arguments that are not text
        return param.get_runtime_param().coerce(value, param=param, ctx=ctx)


def lighten(parameters: list[Any]) -> list[Any]:
    """Make a command's text arguments skip Typer's conversion, and return the same list of parameters."""
    for parameter in parameters:
        if getattr(parameter, "_runtime_param", ...) is None and hasattr(parameter, "type_descriptor"):
            parameter._runtime_param = _TextConversion()
    return parameters


class LightCommand(TyperCommand):
    """A command whose text arguments skip Typer's conversion."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, including `--help`."""
        return lighten(super().get_params(ctx))


class LazyVerbs(TyperGroup):
    """The group of all subcommands. It imports a subcommand only if the user runs it."""

    verbs: ClassVar[Mapping[str, tuple[str, str]]] = {}
    renamed: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, (_, help_text) in self.verbs.items():
            self.commands[name] = TyperCommand(name, help=help_text)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, including `--help`."""
        return lighten(super().get_params(ctx))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Import the subcommand that the first argument names, by its current or an earlier name."""
        if args[0] in self.renamed:
            now = self.renamed[args[0]]
            note_renamed(f"drywallqa {args[0]}", f"drywallqa {' '.join(now)}")
            args = [*now, *args[1:]]
        name, verb, rest = super().resolve_command(ctx, args)
        if name is not None and name in self.verbs:
            verb = load_verb(name, *self.verbs[name])
        return name, verb, rest


def load_verb(name: str, target: str, help_text: str) -> Any:
    """Import a subcommand from `module:object`, and create its Typer command."""
    module_name, _, attribute = target.partition(":")
    try:
        verb = getattr(importlib.import_module(module_name), attribute)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("drywallqa"):
            raise
        raise MissingExtraError(
            f"'drywallqa {name}' (the package {error.name} is missing)", "train"
        ) from error
    if isinstance(verb, typer.Typer):
        verb.info.help = verb.info.help if isinstance(verb.info.help, str) else help_text
        return typer.main.get_command(verb)
    app = typer.Typer(add_completion=False)
    app.command(name, cls=LightCommand)(verb)
    return typer.main.get_command(app)


def note_renamed(old: str, new: str) -> None:
    """Print a note to stderr that a subcommand or an option has a new name."""
    print(f"note: '{old}' is now '{new}'", file=sys.stderr)


def command(verbs: Mapping[str, tuple[str, str]], renamed: Mapping[str, tuple[str, ...]]) -> Any:
    """Create the root command.

    Args:
        verbs: Subcommand → (module:object, one-line help).
        renamed: Earlier name → the current subcommand with its options.
    """
    group = type("Verbs", (LazyVerbs,), {"verbs": verbs, "renamed": renamed})
    app = typer.Typer(cls=group, no_args_is_help=True, add_completion=False)
    app.callback()(_root)
    return typer.main.get_command(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"drywallqa {__version__}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """Segment cracks and taping areas in photos of drywall by text prompts."""
