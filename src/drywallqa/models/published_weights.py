"""Find, download and safely read published weights.

This module imports torch only when it reads a file. Each origin is pinned to one revision of its repository,
so that future models start from the same weights.
"""

from __future__ import annotations

import json
import pickle
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from drywallqa.errors import MissingExtraError, ModelError
from drywallqa.files import file_digest

if TYPE_CHECKING:
    from torch import Tensor

SAFE, PICKLED = "model.safetensors", "pytorch_model.bin"
SUMS = "SHA256SUMS"


@dataclass(frozen=True)
class Origin:
    """One published set of weights.

    Attributes:
        name: Short name, which is the key in `load_pretrained`.
        hub_id: Repository on the model hub.
        revision: Commit of the repository.
        licence: Licence of the weights.
    """

    name: str
    hub_id: str
    revision: str
    licence: str


ORIGINS = {
    origin.name: origin
    for origin in (
        Origin(
            "clipseg",
            "CIDAS/clipseg-rd64-refined",
            "999e0328d9e10b484360c477313983f9afdd7050",
            "hub card: Apache-2.0; the authors' code repository is MIT but excludes the weights from it",
        ),
        Origin(
            "clip",
            "openai/clip-vit-base-patch16",
            "57c216476eefef5ab752ec549e440a49ae4ae5f3",
            "MIT (the code repository's); the hub declares none",
        ),
        Origin(
            "sam",
            "facebook/sam-vit-base",
            "70c1a07f894ebb5b307fd9eaaee97b9dfc16068f",
            "Apache-2.0",
        ),
    )
}
PINS = "copied from public projects; not verified, because the weights were never downloaded"
"""Source of the pinned revisions."""


def cached_folder(origin: Origin) -> Path | None:
    """Return the folder of this revision's weights in the hub's cache, or None if they are not cached."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:  # the base install has no hub client, hence no cache
        return None
    files = (
        try_to_load_from_cache(origin.hub_id, name, revision=origin.revision) for name in (SAFE, PICKLED)
    )
    return next((Path(file).parent for file in files if isinstance(file, str)), None)


def locate_weights(origin: Origin, given: str | Path | None = None) -> Path:
    """Find the folder of an origin's weights without network access.

    Args:
        origin: The weights.
        given: The folder of the weights, or its parent if the folder is named after the origin; by default
            the hub's cache.

    Raises:
        ModelError: The weights are missing; the message lists the searched folders and the remedy.
    """
    if given is None:
        from huggingface_hub import constants

        folder, searched = cached_folder(origin), str(constants.HF_HUB_CACHE)
    else:
        places = [Path(given) / origin.name, Path(given)]
        folder = next((place for place in places if _weight_file(place)), None)
        searched = " and ".join(str(place) for place in places)
    if folder is None:
        raise ModelError(
            f"the weights of {origin.hub_id} (revision {origin.revision[:8]}) are missing; searched "
            f"{searched} for {SAFE} or {PICKLED}; download them with 'drywallqa models pull {origin.name}' "
            "on a machine with network access, or pass a folder with --set model.weights=FOLDER"
        )
    return folder


def pull_weights(origin: Origin) -> Path:
    """Download the pinned revision of an origin into the hub's cache.

    Raises:
        MissingExtraError: The hub client is not installed.
        ModelError: The hub cannot be reached, or does not have the revision.
    """
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise MissingExtraError("'drywallqa models pull'", "train") from error
    patterns = ["*.json", "merges.txt", SAFE, PICKLED]
    try:
        folder = Path(snapshot_download(origin.hub_id, revision=origin.revision, allow_patterns=patterns))
    except Exception as error:
        raise ModelError(
            f"{origin.hub_id} (revision {origin.revision[:8]}) could not be downloaded: "
            f"{_first_line(error)}; check the network, or copy the folder from another machine and pass it "
            "with --set model.weights=FOLDER"
        ) from error
    _check_sums(folder)
    return folder


def read_published(folder: Path, model_type: str) -> dict[str, Tensor]:
    """Read all tensors from a folder of published weights without running code from it.

    Args:
        folder: A folder with `config.json` and the weights as safetensors or as a pickle of tensors.
        model_type: Required model type in `config.json`.

    Returns:
        The tensors by name, without the `position_ids` that old files contain.

    Raises:
        ModelError: A file is missing, truncated or altered, a pickle contains more than tensors, or the
            folder contains another model.
    """
    description = folder / "config.json"
    try:
        found = json.loads(description.read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{description}: the model's description is missing or damaged ({error})") from error
    if found != model_type:
        raise ModelError(f"{folder}: contains a model of type '{found}', but '{model_type}' is needed")
    path = _weight_file(folder)
    if path is None:
        raise ModelError(f"{folder}: contains neither {SAFE} nor {PICKLED}")
    _check_sums(folder)
    return {name: value for name, value in _read(path).items() if not name.endswith(".position_ids")}


def _read(path: Path) -> dict[str, Tensor]:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.name == SAFE:
            return dict(load_file(path))
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path}: this pickle contains more than tensors and could run code, so it is not read; "
            f"get the weights as {SAFE}"
        ) from error
    except (SafetensorError, OSError, EOFError, RuntimeError, ValueError) as error:
        raise ModelError(f"{path}: truncated or damaged ({_first_line(error)}); download it again") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ModelError(f"{path}: does not contain named tensors; get the weights as {SAFE}")
    return state


def _check_sums(folder: Path) -> None:
    """Verify the SHA-256 of each weight file whose SHA-256 is known.

    The hub's cache names large files by their SHA-256; other folders may contain `SHA256SUMS`.

    Raises:
        ModelError: A file differs.
    """
    expected: dict[str, str] = {}
    for path in (folder / SAFE, folder / PICKLED):
        blob = path.resolve().name
        if path.is_symlink() and re.fullmatch(r"[0-9a-f]{64}", blob):
            expected[path.name] = blob
    if (folder / SUMS).is_file():
        for line in (folder / SUMS).read_text(encoding="utf-8").splitlines():
            digest, _, name = line.partition(" ")
            expected[name.strip().lstrip("*")] = digest
    for path, digest in ((folder / name, digest) for name, digest in expected.items()):
        if not path.is_file():
            raise ModelError(f"{path}: listed in {SUMS} but missing; download it again")
        if file_digest(path) != digest:
            raise ModelError(
                f"{path}: differs from its SHA-256, so it was truncated or changed; download it again"
            )


def _weight_file(folder: Path) -> Path | None:
    return next((folder / name for name in (SAFE, PICKLED) if (folder / name).is_file()), None)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
