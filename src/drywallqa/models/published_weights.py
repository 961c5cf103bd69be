"""Published weights: where they come from, where they lie, and how they are read safely.

Nothing here needs torch until a file is read. An origin is pinned to one revision of its repository, so that
a model made next year starts from the same numbers.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drywallqa.errors import MissingExtraError, ModelError
from drywallqa.files import file_digest

if TYPE_CHECKING:
    from torch import Tensor

SAFE, PICKLED, INDEX = "model.safetensors", "pytorch_model.bin", "model.safetensors.index.json"
SUMS = "SHA256SUMS"
TEXT_FILES = (
    "vocab.json",
    "merges.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
)


@dataclass(frozen=True)
class Origin:
    """One published set of weights.

    Attributes:
        name: Short name, the key of `load_pretrained`.
        hub_id: Repository on the model hub.
        revision: Its commit.
        parameters: How many parameters it holds.
        licence: Of the weights.
        paper: Source.
    """

    name: str
    hub_id: str
    revision: str
    parameters: int
    licence: str
    paper: str


ORIGINS = {
    origin.name: origin
    for origin in (
        Origin(
            "clipseg",
            "CIDAS/clipseg-rd64-refined",
            "999e0328d9e10b484360c477313983f9afdd7050",
            150_747_746,
            "hub card: Apache-2.0; the authors' code repository is MIT but excludes the weights from it",
            "Lüddecke and Ecker, CVPR 2022, https://arxiv.org/abs/2112.10003",
        ),
        Origin(
            "clip",
            "openai/clip-vit-base-patch16",
            "57c216476eefef5ab752ec549e440a49ae4ae5f3",
            149_620_737,
            "MIT (the code repository's); the hub declares none",
            "Radford et al., ICML 2021, https://arxiv.org/abs/2103.00020",
        ),
        Origin(
            "sam",
            "facebook/sam-vit-base",
            "70c1a07f894ebb5b307fd9eaaee97b9dfc16068f",
            93_735_728,
            "Apache-2.0",
            "Kirillov et al., ICCV 2023, https://arxiv.org/abs/2304.02643",
        ),
    )
}


PINS = "as public projects pin them; never downloaded where this was written, so not verified here"
"""Where the revisions come from."""


def hub_cache() -> Path:
    """Return the hub's cache folder, as its own tools find it."""
    if os.environ.get("HF_HUB_CACHE"):
        return Path(os.environ["HF_HUB_CACHE"])
    home = os.environ.get("HF_HOME") or str(
        Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "huggingface"
    )
    return Path(home).expanduser() / "hub"


def cached_folder(origin: Origin, cache: Path | None = None) -> Path:
    """Return where the hub's cache holds this revision, whether or not it is there."""
    repository = "models--" + origin.hub_id.replace("/", "--")
    return (cache or hub_cache()) / repository / "snapshots" / origin.revision


def is_at_hand(origin: Origin, cache: Path | None = None) -> bool:
    """Whether the hub's cache holds this revision's weights."""
    return _weight_file(cached_folder(origin, cache)) is not None


def locate_weights(origin: Origin, given: str | Path | None = None) -> Path:
    """Find the folder of an origin's weights, without network.

    Args:
        origin: What is looked for.
        given: A local folder, or a folder that holds one named as the origin; None looks into the cache.

    Raises:
        ModelError: It is nowhere; the message says what is missing, where it was looked for, what to do.
    """
    places = [cached_folder(origin)] if given is None else [Path(given) / origin.name, Path(given)]
    for place in places:
        if _weight_file(place) is not None:
            return place
    looked = " and ".join(str(place) for place in places)
    raise ModelError(
        f"the weights of {origin.hub_id} (revision {origin.revision[:8]}) are missing; looked in {looked} "
        f"for {SAFE} or {PICKLED}; bring them with 'drywallqa models pull {origin.name}' where there is "
        "network, or name a folder with --set model.weights=FOLDER"
    )


def locate_all_weights(names: Sequence[str], given: str | Path | None = None) -> dict[str, Path]:
    """Find several origins; see `locate`."""
    return {name: locate_weights(ORIGINS[name], given) for name in names}


def pull_weights(origin: Origin) -> Path:
    """Bring a revision into the hub's cache.

    Raises:
        MissingExtraError: The hub's client is not installed.
        ModelError: The hub cannot be reached, or does not have the revision.
    """
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise MissingExtraError("'drywallqa models pull'", "train") from error
    try:
        folder = snapshot_download(
            origin.hub_id, revision=origin.revision, allow_patterns=["*.json", "merges.txt", SAFE, PICKLED]
        )
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise ModelError(
            f"{origin.hub_id} (revision {origin.revision[:8]}) could not be brought: "
            f"{reason[0] if reason else type(error).__name__}; check the network, or copy its folder from "
            "another machine and name it with --set model.weights=FOLDER"
        ) from error
    check_sums(Path(folder))
    return Path(folder)


def read_config(folder: Path) -> dict[str, Any]:
    """Read the model's own description, `config.json`.

    Raises:
        ModelError: It is missing or damaged.
    """
    path = folder / "config.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: the model's description is missing or damaged ({error})") from error
    if not isinstance(data, dict):
        raise ModelError(f"{path}: must hold names and values")
    return data


def read_state(folder: Path) -> dict[str, Tensor]:
    """Read all tensors of a folder of weights, without ever running code from it.

    Raises:
        ModelError: A file is missing, truncated, tampered with, or a pickle that holds more than tensors.
    """
    path = _weight_file(folder)
    if path is None:
        raise ModelError(f"{folder}: holds neither {SAFE} nor {PICKLED}")
    check_sums(folder)
    if path.name == INDEX:
        try:
            parts = sorted(set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError) as error:
            raise ModelError(f"{path}: damaged ({error!r}); get it again") from error
        state: dict[str, Tensor] = {}
        for name in parts:
            # a name that climbs out of the folder would read files that nobody meant
            if Path(name).name != name:
                raise ModelError(f"{path}: names a file outside its folder: {name}")
            state |= read_file(folder / name)
        return state
    return read_file(path)


def read_file(path: Path) -> dict[str, Tensor]:
    """Read the tensors of one file, safetensors or a pickle of tensors; see `read_state`."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, EOFError, RuntimeError, ValueError) as error:
        raise ModelError(f"{path}: truncated or damaged ({_first_line(error)}); get it again") from error
    except Exception as error:
        if "weights_only" not in str(error) and type(error).__name__ != "UnpicklingError":
            raise
        raise ModelError(
            f"{path}: this pickle holds more than tensors and could run code, so it is not read; "
            f"get the weights as {SAFE}"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ModelError(f"{path}: holds something else than a table of tensors; get the weights as {SAFE}")
    return state


def check_sums(folder: Path) -> None:
    """Hold weight files against what is known of their content.

    The hub's cache names a large file's content by its SHA-256; other folders may hold `SHA256SUMS`.

    Raises:
        ModelError: A file differs.
    """
    expected: dict[str, str] = {}
    if (folder / SUMS).is_file():
        for line in (folder / SUMS).read_text(encoding="utf-8").splitlines():
            digest, _, name = line.partition(" ")
            expected[name.strip().lstrip("*")] = digest
    for path in sorted(folder.glob("*.safetensors")) + sorted(folder.glob("*.bin")):
        blob = path.resolve().name
        if path.is_symlink() and re.fullmatch(r"[0-9a-f]{64}", blob):
            expected.setdefault(path.name, blob)
    for name, digest in expected.items():
        path = folder / name
        if not path.is_file():
            raise ModelError(f"{path}: named in {SUMS} but missing; get it again")
        if file_digest(path) != digest:
            raise ModelError(
                f"{path}: differs from its SHA-256, so it was truncated or changed; get it again"
            )


def _weight_file(folder: Path) -> Path | None:
    return next((folder / name for name in (SAFE, INDEX, PICKLED) if (folder / name).is_file()), None)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
