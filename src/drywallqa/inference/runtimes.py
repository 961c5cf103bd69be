"""How a bundle is run: in which runtime, and with which window."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from drywallqa.backend import Backend
from drywallqa.errors import BackendError, ConfigError, MissingExtraError

if TYPE_CHECKING:
    from drywallqa.bundle import Bundle
    from drywallqa.inference.questions import RunnableBundle

PROFILES = ("full", "fast")
_FAST = 5 / 7  # of the window's size: half its pixels


def open_backend(bundle: RunnableBundle, name: str, **how: Any) -> Backend:
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


def with_profile(bundle: Bundle, profile: str) -> Bundle:
    """Give a bundle the window of a profile.

    Raises:
        ConfigError: The profile is unknown.
        BackendError: The model takes no window but its own.
    """
    if profile not in PROFILES:
        raise ConfigError(f"the profile is '{profile}'; choose one of {', '.join(PROFILES)}")
    if profile == "full":
        return bundle
    window = bundle.window
    if window.square:
        raise BackendError(f"{bundle.name}: its window is fixed, so that it has no fast profile")
    size = max(1, round(window.size * _FAST / window.multiple)) * window.multiple
    # The version names the profile, so that results of the two are never taken for each other.
    smaller = dataclasses.replace(window, size=size)
    return dataclasses.replace(bundle, window=smaller, version=f"{bundle.version} {profile}")
