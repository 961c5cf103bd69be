"""The public surface, frozen: names in Python, verbs and options. What is renamed answers to its old name.

`public_surface.json` was written at version 0.1; an entry may be added to it, and none may be taken out.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

import drywallqa
from drywallqa import cli
from drywallqa.cli.verbs import load_verb

FROZEN = json.loads((Path(__file__).parent / "public_surface.json").read_text(encoding="utf-8"))


def command_of(verb: str) -> Any:
    """Return the command of a verb such as "segment" or "data import", under an earlier name too."""
    name, *inner = verb.split()
    name = cli.RENAMED.get(name, (name,))[0]
    command = load_verb(name, *cli.VERBS[name])
    return command.commands[inner[0]] if inner else command


def arguments_of(command: Any) -> list[str]:
    """Return what a command takes: its options by every name, and its arguments in capitals."""
    return sorted(
        name
        for parameter in command.params
        for name in (
            [*parameter.opts, *parameter.secondary_opts]
            if parameter.param_type_name == "option"
            else [parameter.metavar or parameter.name]
        )
    )


def python_names() -> list[str]:
    """Return the package's names, the members of its classes, and the parameters of what can be called."""
    names = set(drywallqa.__all__)
    things = {name: getattr(drywallqa, name) for name in names}
    for name, thing in [*things.items()]:
        if inspect.isclass(thing):
            members = {*dir(thing), *getattr(thing, "__dataclass_fields__", ())}
            things |= {f"{name}.{m}": getattr(thing, m, None) for m in members if not m.startswith("_")}
    for name, thing in things.items():
        names.add(name)
        if inspect.isfunction(thing):
            names |= {f"{name}({parameter})" for parameter in inspect.signature(thing).parameters}
    return sorted(names)


def surface() -> dict[str, Any]:
    """Return the surface as it is, in the form of the frozen file."""
    verbs = {}
    for name in cli.VERBS:
        command = command_of(name)
        for inner in getattr(command, "commands", {}):
            verbs[f"{name} {inner}"] = arguments_of(command.commands[inner])
        if not hasattr(command, "commands"):
            verbs[name] = arguments_of(command)
    return {"python": python_names(), "verbs": verbs}


def test_python__every_name_is_there() -> None:
    assert set(FROZEN["python"]) <= set(python_names())


@pytest.mark.parametrize("verb", FROZEN["verbs"])
def test_verbs__each_takes_every_option(verb: str) -> None:
    assert set(FROZEN["verbs"][verb]) <= set(arguments_of(command_of(verb)))
