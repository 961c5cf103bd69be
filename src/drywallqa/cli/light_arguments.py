"""Arguments that are text are taken as they are.

Typer from 0.27 on hands every argument to pydantic, whose import alone costs as much as half of the start
that a run is allowed. Text needs no conversion, and neither does an option that was not given; everything
else still goes Typer's way. With an older Typer there is nothing to lighten, and nothing is changed.
"""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


def lighten(parameters: list[Any]) -> list[Any]:
    """Spare a command's text arguments the conversion; the same list is returned."""
    for parameter in parameters:
        if getattr(parameter, "_runtime_param", ...) is None and hasattr(parameter, "type_descriptor"):
            parameter._runtime_param = _Light()
    return parameters


class LightCommand(TyperCommand):
    """A command whose text arguments, and those not given, are taken as they are."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, the one that shows help included."""
        return lighten(super().get_params(ctx))


class _Light:
    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        many = param.multiple or param.nargs == -1
        if value is None:
            return () if many else None
        annotation = param.type_descriptor.annotation
        if annotation is str and isinstance(value, str):
            return value
        if annotation == list[str] and not isinstance(value, str) and all(isinstance(v, str) for v in value):
            return list(value)
        param._runtime_param = None  # not text: let Typer make its own
        return param.get_runtime_param().coerce(value, param=param, ctx=ctx)
