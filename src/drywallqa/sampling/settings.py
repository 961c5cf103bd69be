"""The settings of sampling: how the pictures of a training step are drawn and augmented."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class StrictModel(BaseModel):
    """Settings that cannot be changed; unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(StrictModel):
    """How photos are drawn and augmented.

    Attributes:
        window: Side of a training crop in px. Where the model does not take it, the nearest is used and
            printed.
        photo_scale: The photo's longer side is drawn from this range, in px (log-uniform), before cropping.
        mix: Set name → weight of its photos; sets not named weigh 1.
        augment: Whether photos are turned, scaled, cropped and re-lit; otherwise each is shown whole and
            unchanged.
        negative_share: Share of pictures that are also paired with concepts that they do not show.
        composite_share: Share of pictures in which a crack of one photo is pasted onto a board of another.
        phrases: Most phrasings embedded for each concept.
        cached_views: Fixed views of each photo whose features are kept on disk; needs a frozen encoder. 0
            keeps none.
        phrase_jitter: Standard deviation of noise added to each component of a prompt's embedding.
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
    phrase_jitter: Annotated[float, Field(ge=0)] = 0.03
