"""The root command, which knows its verbs by name and imports one when it is called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from drywallqa._version import __version__
from drywallqa.cli.light_arguments import LightCommand, lighten
from drywallqa.errors import MissingExtraError


class LazyVerbs(TyperGroup):
    """A group whose verbs stand for themselves in help, and are imported only to be run."""

    verbs: ClassVar[Mapping[str, tuple[str, str]]] = {}
    renamed: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, (_, help_text) in self.verbs.items():
            self.commands[name] = TyperCommand(name, help=help_text)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, the one that shows help included."""
        return lighten(super().get_params(ctx))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the verb that the arguments start with, under an earlier name too, and import it."""
        if args[0] in self.renamed:
            now = self.renamed[args[0]]
            note_renamed(f"drywallqa {args[0]}", f"drywallqa {' '.join(now)}")
            args = [*now, *args[1:]]
        name, stub, rest = super().resolve_command(ctx, args)
        if name is not None and name in self.verbs:
            return name, load_verb(name, *self.verbs[name]), rest
        return name, stub, rest


def load_verb(name: str, target: str, help_text: str) -> Any:
    """Import a verb's module from `module:object` and make its command."""
    module_name, _, attribute = target.partition(":")
    try:
        verb = getattr(importlib.import_module(module_name), attribute)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("drywallqa"):
            raise
        raise MissingExtraError(f"'drywallqa {name}' (it lacks {error.name})", "train") from error
    if isinstance(verb, typer.Typer):
        verb.info.help = verb.info.help if isinstance(verb.info.help, str) else help_text
        return typer.main.get_command(verb)
    app = typer.Typer(add_completion=False)
    app.command(name, cls=LightCommand)(verb)
    return typer.main.get_command(app)


def note_renamed(old: str, new: str) -> None:
    """Say on standard error that a verb or an option has a new name."""
    print(f"note: '{old}' is now '{new}'", file=sys.stderr)


def command(verbs: Mapping[str, tuple[str, str]], renamed: Mapping[str, tuple[str, ...]]) -> Any:
    """Make the root command.

    Args:
        verbs: Name → (module:object, help in one line).
        renamed: Name of an earlier version → verb and options that it stands for.
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
        False, "--version", callback=_show_version, is_eager=True, help="Show the version and leave."
    ),
) -> None:
    """Find cracks and taping areas in photos of drywall, by prompt: a photo and a text in, a mask out."""
