"""How a bundle is run: in which runtime, and with which window."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drywallqa.backend import Backend
from drywallqa.errors import BackendError, ConfigError, MissingExtraError
from drywallqa.onnx_session import DEFAULT, FAST, IMAGE_ENCODER, graph_name

if TYPE_CHECKING:
    from drywallqa.bundle.bundle import Bundle
    from drywallqa.inference.queries import RunnableBundle

PROFILES = ("full", "fast")
_FAST = 5 / 7  # of the window's size: half its pixels


def open_bundle_backend(bundle: RunnableBundle, name: str, **how: Any) -> Backend:
    """Load a bundle's model into a runtime.

    Args:
        bundle: The bundle.
        name: The runtime.
        how: Device, threads and precision, as `Bundle.open_backend` takes them.

    Raises:
        BackendError: The runtime is unknown or cannot run the model.
        MissingExtraError: It is not installed.
    """
    if name != "torch":
        return bundle.open_backend(name=name, **how)
    try:
        from drywallqa.models.bundled import open_torch
    except ModuleNotFoundError as error:
        raise MissingExtraError("the backend 'torch'", "train") from error
    return open_torch(bundle, **how)


def folder_of(model: str | Path | None, profile: str) -> Path:
    """Return the folder of a bundle: that of `model`, or of the bundled one for a profile where it is None.

    Raises:
        ConfigError: The profile is unknown.
    """
    if profile not in PROFILES:
        raise ConfigError(f"the profile is '{profile}'; choose one of {', '.join(PROFILES)}")
    if model is not None:
        return Path(model)
    return FAST if profile == "fast" else DEFAULT


def load_profile(model: str | Path | None, profile: str) -> Bundle:
    """Load a bundle for a profile: of the bundled models the one made for it, else with a smaller window.

    Raises:
        ConfigError: The profile is unknown.
        BundleError: The bundle is missing, damaged or too new.
        BackendError: The model takes no window but its own.
    """
    from drywallqa.bundle.bundle import load_bundle

    bundle = load_bundle(folder_of(model, profile))
    return bundle if model is None or profile == "full" else with_smaller_input(bundle)


def precision_of(folder: Path, profile: str, backend: str, wanted: str | None) -> str:
    """Return the precision that was asked for, or what suits the profile: int8 for "fast" if it is there.

    Args:
        folder: The bundle's folder.
        profile: The profile.
        backend: The runtime.
        wanted: A precision; None leaves it to the profile.
    """
    if wanted is not None:
        return wanted
    has = backend != "torch" and (folder / graph_name(IMAGE_ENCODER, "int8")).is_file()
    return "int8" if profile == "fast" and has else "fp32"


def with_smaller_input(bundle: Bundle) -> Bundle:
    """Give a bundle a window with half the pixels.

    Raises:
        BackendError: The model takes no window but its own.
    """
    window = bundle.window
    if window.square:
        raise BackendError(f"{bundle.name}: its window is fixed, so that it has no fast profile")
    size = max(1, round(window.size * _FAST / window.multiple)) * window.multiple
    # The version names the profile, so that results of the two are never taken for each other.
    return dataclasses.replace(
        bundle, window=dataclasses.replace(window, size=size), version=f"{bundle.version} fast"
    )
