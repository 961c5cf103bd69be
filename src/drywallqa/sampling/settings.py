"""Settings that control how training pictures are sampled and augmented."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class StrictModel(BaseModel):
    """Base class of settings that are immutable and reject unknown names."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(StrictModel):
    """Settings that control how photos are sampled and augmented.

    Attributes:
        window: Side of a training crop in px. If the model does not support this size, training uses the
            nearest supported size and prints it.
        photo_scale: Range of the photo's longer side in px before cropping (sampled log-uniformly).
        mix: Set name → sampling weight of the set. Sets that are not listed have weight 1.
        augment: Whether to rotate, scale and crop photos randomly and to vary their light. If False, photos
            are only scaled to the window.
        negative_share: Share of pictures that are also trained with prompts for concepts that they do not
            show.
        composite_share: Share of pictures that are made by pasting a crack from one photo onto a board in
            another photo.
        phrases: Maximum number of phrasings to embed per concept.
        cached_views: Number of fixed views per photo. The features of these views are cached on disk, which
            requires a frozen encoder. 0 turns the cache off.
        traced: Concepts whose labels are wide outlines. Training replaces them by the crack's own pixels, and
            ignores the components in which the photo shows no line.
        phrase_jitter: Standard deviation of the noise that is added to each component of a prompt embedding.
    """

    window: Annotated[int, Field(ge=64)] = 320
    photo_scale: tuple[Positive, Positive] = (256.0, 560.0)
    mix: dict[str, Positive] = Field(default_factory=dict)
    augment: bool = True
    negative_share: Share = 1.0
    composite_share: Share = 0.15
    photos_per_epoch: Annotated[int, Field(ge=1)] = 1600
    workers: Annotated[int, Field(ge=0)] = 1
    phrases: Annotated[int, Field(ge=1)] = 4000
    cached_views: Annotated[int, Field(ge=0)] = 0
    traced: tuple[str, ...] = ()
    phrase_jitter: Annotated[float, Field(ge=0)] = 0.03
