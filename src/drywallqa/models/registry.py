"""Every model family, registered once, as data; modules load when a model is made."""

from __future__ import annotations

import difflib
import importlib
from dataclasses import dataclass
from typing import Any

from drywallqa.errors import ModelError


@dataclass(frozen=True)
class Family:
    """What a user chooses between.

    Attributes:
        name: As typed.
        module: Import path of the family's file.
        class_name: The model's class there.
        code_licence: SPDX name.
        weight_licence: SPDX name of the weights that training starts from, with their origin.
        free_size: Whether any input of the window's multiple is taken, or one square size only.
        open_vocabulary: Whether prompts beyond the trained concepts mean something to it.
        exports: Formats it can be exported to.
    """

    name: str
    module: str
    class_name: str
    code_licence: str
    weight_licence: str
    free_size: bool
    open_vocabulary: bool
    exports: tuple[str, ...]


FAMILIES = {
    family.name: family
    for family in (
        Family(
            name="compact",
            module="drywallqa.models.compact",
            class_name="CompactModel",
            code_licence="Apache-2.0",
            weight_licence="Apache-2.0 (EfficientNet-Lite, ImageNet)",
            free_size=True,
            open_vocabulary=False,
            exports=("onnx",),
        ),
    )
}


def find(name: str) -> Family:
    """Return a family by name.

    Raises:
        ModelError: No family has this name; the nearest is suggested.
    """
    if name not in FAMILIES:
        near = difflib.get_close_matches(name, FAMILIES, n=1, cutoff=0.0)
        raise ModelError(f"model '{name}' is not known; the nearest is '{near[0]}'")
    return FAMILIES[name]


def create(name: str, **options: Any) -> Any:
    """Make an untrained model of a family; options go to its class."""
    family = find(name)
    return getattr(importlib.import_module(family.module), family.class_name)(**options)
