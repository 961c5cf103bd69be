"""The settings of what a training step sees."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class StrictModel(BaseModel):
    """Settings that cannot be changed and that take no unknown names."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(StrictModel):
    """How photos are drawn and changed."""

    window: Annotated[int, Field(ge=64)] = 320
    """Side of a training crop in px; the nearest that the model takes, and then that is said."""
    photo_scale: tuple[Positive, Positive] = (256.0, 560.0)
    """The photo's longer side is drawn from this range, in px (log-uniform), before cropping."""
    mix: dict[str, Positive] = Field(default_factory=dict)
    """Set name → weight of its photos; sets not named weigh 1."""
    augment: bool = True
    """Whether photos are turned, scaled, cropped and re-lit; else each is shown whole, as it is."""
    negative_share: Share = 1.0
    """Share of pictures of which concepts that they do not show are asked, too."""
    composite_share: Share = 0.15
    """Share of pictures in which a crack of one photo is pasted on a board of another."""
    photos_per_epoch: Annotated[int, Field(ge=1)] = 1600
    workers: Annotated[int, Field(ge=0)] = 1
    phrases: Annotated[int, Field(ge=1)] = 4000
    """Most phrasings embedded of each concept."""
    cached_views: Annotated[int, Field(ge=0)] = 0
    """Fixed views of each photo whose features are kept on disk; needs a frozen encoder; 0 keeps none."""
    phrase_jitter: Annotated[float, Field(ge=0)] = 0.03
    """Standard deviation of noise added to each component of a prompt's embedding."""
