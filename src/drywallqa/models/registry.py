"""The registry of model families. A family's module is imported only when a model is created."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from drywallqa.errors import ModelError
from drywallqa.imaging.letterbox import IMAGENET_MEAN, IMAGENET_STD, Letterbox
from drywallqa.models.published_weights import ORIGINS, locate_weights

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_LITE = "Apache-2.0 (EfficientNet-Lite, ImageNet)"
_CLIP = "MIT (CLIP's repository; the model hub declares none)"
_SAM = "Apache-2.0 (SAM)"


def _defaults(side: int, batch_size: int = 8) -> dict[str, Any]:
    """Return default training settings: crops of `side` px, and a low learning rate for the encoder."""
    return {
        "data.window": side,
        "data.photo_scale": [side, 2 * side],
        "validation_window": side,
        "optimisation.encoder_rate": 1e-5,
        "optimisation.decoder_rate": 1e-4,
        "optimisation.batch_size": batch_size,
    }


@dataclass(frozen=True)
class Family:
    """A model family that a user can choose.

    Attributes:
        name: Name on the command line.
        module: The family's module in this package.
        class_name: The model's class in that module.
        summary: One-line description.
        code_licence: SPDX name.
        weight_licence: Licence and origin of the weights that training starts from.
        parameters: Number of parameters at full size with default options.
        paper: Source of the architecture.
        multiple: Input sides are multiples of this number of px.
        square: Whether photos are letterboxed into a square.
        side: The only supported input size in px; None if any multiple is supported.
        default_side: Default input size in px.
        tiny_side: The only input size of the "tiny" variant, if the family supports only one.
        open_vocabulary: Whether the model understands prompts beyond the trained concepts.
        own_text: Whether the model embeds prompts itself. Otherwise, the bundle's text model embeds them.
        trainable: Whether the model has trainable parts.
        exports: Supported export formats.
        origins: Names of the published weights that initialise the model, as in `published_weights.ORIGINS`.
        takes: Names of the general model settings that the model's class accepts.
        training_defaults: Default settings of a training run; a user's settings override them.
        mean: Mean of each channel, to normalise values in 0–1.
        std: Standard deviation of each channel, to normalise values in 0–1.
    """

    name: str
    module: str
    class_name: str
    summary: str
    code_licence: str
    weight_licence: str
    parameters: int
    paper: str
    multiple: int
    default_side: int
    square: bool = True
    side: int | None = None
    tiny_side: int | None = None
    open_vocabulary: bool = False
    own_text: bool = True
    trainable: bool = True
    exports: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    training_defaults: Mapping[str, Any] = field(default_factory=dict)
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def letterbox(self, size: int, report: Callable[[str], None] | None = None) -> Letterbox:
        """Return the letterbox for a size, or for the nearest size that the family supports.

        Args:
            size: Longer side in px.
            report: Called with a message if another size is used.
        """
        fitted = self.side or max(1, round(size / self.multiple)) * self.multiple
        if fitted != size and report is not None:
            takes = f"{self.side} px only" if self.side else f"sides in multiples of {self.multiple} px"
            report(f"{self.name} takes {takes}: {fitted} px instead of {size} px")
        return Letterbox(fitted, self.multiple, self.square, self.mean, self.std)


FAMILIES = {
    family.name: family
    for family in (
        Family(
            name="compact",
            module="lite_models",
            class_name="CompactModel",
            summary="EfficientNet-Lite with a light FiLM decoder; the bundled model, designed for CPUs",
            code_licence="Apache-2.0",
            weight_licence=_LITE,
            parameters=3_122_130,
            paper="FiLM: Perez et al., AAAI 2018, https://arxiv.org/abs/1709.07871",
            multiple=32,
            default_side=320,
            square=False,
            own_text=False,
            exports=("onnx",),
            takes=("encoder", "width", "embedding_width"),
        ),
        Family(
            name="swift",
            module="lite_models",
            class_name="SwiftModel",
            summary="EfficientNet-Lite, pixel × prompt embeddings; five prompts cost little more than one",
            code_licence="Apache-2.0",
            weight_licence=_LITE,
            parameters=3_073_858,
            paper="LSeg: Li et al., ICLR 2022, https://arxiv.org/abs/2201.03546",
            multiple=32,
            default_side=320,
            square=False,
            own_text=False,
            exports=("onnx",),
            takes=("encoder", "width", "embedding_width"),
        ),
        Family(
            name="clipseg",
            module="clip_vision",
            class_name="ClipSegModel",
            summary="CLIPSeg (rd64-refined): CLIP's frozen towers and a small transformer decoder",
            code_licence="Apache-2.0 (ours and transformers'; the authors' own repository is MIT)",
            weight_licence="the authors' repository excludes its weights from its MIT licence; "
            "the model hub's card says Apache-2.0",
            parameters=150_747_746,
            paper="Lüddecke and Ecker, CVPR 2022, https://arxiv.org/abs/2112.10003",
            multiple=16,
            default_side=352,
            open_vocabulary=True,
            exports=("onnx",),
            training_defaults=_defaults(352),
            origins=("clipseg",),
        ),
        Family(
            name="clip-cnn",
            module="clip_vision",
            class_name="ClipCnnModel",
            summary="The report's model: CLIP's towers, projections to 64, product, convolutional decoder",
            code_licence="Apache-2.0",
            weight_licence=_CLIP,
            parameters=150_219_394,
            paper="CLIP: Radford et al., ICML 2021, https://arxiv.org/abs/2103.00020",
            multiple=16,
            default_side=256,
            exports=("onnx",),
            training_defaults=_defaults(256),
            origins=("clip",),
            mean=CLIP_MEAN,
            std=CLIP_STD,
        ),
        Family(
            name="clip-unet",
            module="clip_unet",
            class_name="ClipUnetModel",
            summary="U-Net over EfficientNet-Lite, conditioned on CLIP's text embedding",
            code_licence="Apache-2.0",
            weight_licence=f"{_LITE}; {_CLIP}",
            parameters=70_858_977,
            paper="U-Net: Ronneberger et al., MICCAI 2015, https://arxiv.org/abs/1505.04597",
            multiple=32,
            default_side=320,
            square=False,
            exports=("onnx",),
            training_defaults={"optimisation.encoder_rate": 1e-4, "optimisation.decoder_rate": 5e-4},
            origins=("clip",),
            takes=("encoder",),
        ),
        Family(
            name="sam-clip",
            module="sam",
            class_name="SamClipModel",
            summary="SAM's frozen image encoder; its mask decoder, prompted by CLIP's text embedding",
            code_licence="Apache-2.0",
            weight_licence=f"{_SAM}; {_CLIP}",
            parameters=157_360_944,
            paper="Kirillov et al., ICCV 2023, https://arxiv.org/abs/2304.02643",
            multiple=16,
            side=1024,
            tiny_side=128,
            default_side=1024,
            training_defaults=_defaults(1024, 2),
            origins=("sam", "clip"),
        ),
        Family(
            name="sam-clip-zero-shot",
            module="sam",
            class_name="SamZeroShotModel",
            summary="SAM's masks at a grid of points, ranked by CLIP; nothing is trained",
            code_licence="Apache-2.0",
            weight_licence=f"{_SAM}; {_CLIP}",
            parameters=243_356_465,
            paper="Kirillov et al., ICCV 2023, https://arxiv.org/abs/2304.02643",
            multiple=16,
            side=1024,
            tiny_side=128,
            default_side=1024,
            open_vocabulary=True,
            trainable=False,
            origins=("sam", "clip"),
        ),
    )
}


def find_family(name: str, options: Mapping[str, Any] | None = None) -> Family:
    """Return a family by name. Its input size is adapted to the options, for example to a tiny variant.

    Raises:
        ModelError: No family has this name; the message suggests the nearest name.
    """
    if name not in FAMILIES:
        near = difflib.get_close_matches(name, FAMILIES, n=1, cutoff=0.0)
        raise ModelError(f"model '{name}' is not known; the nearest is '{near[0]}'")
    family = FAMILIES[name]
    return replace(family, side=family.tiny_side) if options and options.get("size") == "tiny" else family


def create_model(name: str, **options: Any) -> Any:
    """Create an untrained model of a family; options are passed to its class.

    Raises:
        ModelError: The family or an option is unknown.
    """
    family = find_family(name)
    model_class = getattr(importlib.import_module(f"drywallqa.models.{family.module}"), family.class_name)
    try:
        return model_class(**options)
    except TypeError as error:
        raise ModelError(f"{name}: {error}".replace(f"{family.class_name}.__init__() ", "")) from error


def create_from_settings(name: str, general: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """Create an untrained model of a family from general settings and the family's options."""
    family = find_family(name)
    shared = {key: value for key, value in general.items() if key in family.takes}
    return create_model(name, **(shared | dict(options)))


def find_weights(name: str, given: str | Path | None = None) -> dict[str, Path]:
    """Find the local folders of a family's published weights, without network access.

    Raises:
        ModelError: Weights are missing; see `published_weights.locate_weights`.
    """
    return {origin: locate_weights(ORIGINS[origin], given) for origin in find_family(name).origins}
