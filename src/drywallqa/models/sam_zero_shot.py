"""SAM + CLIP without training: SAM proposes masks at a grid of points, CLIP ranks them by the prompt.

Nothing here is trained or chosen on walls. A mask counts for a prompt as far as CLIP finds its cut-out closer
to the prompt than to no prompt in particular.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from drywallqa.imaging.letterbox import IMAGENET_MEAN, IMAGENET_STD
from drywallqa.models.contract import Features, TrainedLayers, check_size, per_photo
from drywallqa.models.registry import CLIP_MEAN, CLIP_STD
from drywallqa.models.sam_clip import load_sam, make_sam
from drywallqa.models.towers import PATCH, ClipPrompted, clip_settings

NEUTRAL = "a photo"


def _column(values: tuple[float, float, float]) -> Tensor:
    return torch.tensor(values)[:, None, None]


class SamZeroShotModel(ClipPrompted):
    """SAM's masks ranked by CLIP; one square input size, nothing to train.

    Args:
        size: "base" (1024 px) or "tiny" (128 px).
        points: Points along each side at which SAM is asked.
        kept: Masks of the best quality that CLIP looks at.

    Example:
        >>> model = SamZeroShotModel("tiny", points=2, kept=3).eval()
        >>> features = model.encode_image(torch.zeros(1, 3, 128, 128))
        >>> logits, presence = model.decode(features, model.encode_prompts(["crack", "seam"]))
        >>> tuple(logits.shape), tuple(presence.shape)
        ((1, 2, 32, 32), (1, 2))
    """

    stride = 4

    def __init__(self, size: str = "base", points: int = 8, kept: int = 24) -> None:
        super().__init__()
        from transformers import CLIPConfig, CLIPModel

        config = CLIPConfig(**clip_settings(size))
        self.clip = CLIPModel(config)
        self.sam = make_sam(size)
        self.embedding_width = int(config.projection_dim)
        self.side = int(self.sam.config.vision_config.image_size)
        self.crop = int(config.vision_config.image_size)
        self.points, self.kept = points, min(kept, 3 * points**2)

    def freeze(self, trained: TrainedLayers) -> None:
        """Freeze everything."""
        self.requires_grad_(False)

    @torch.no_grad()
    def encode_image(self, images: Tensor) -> Features:
        """Encode [B,3,S,S]: K masks' logits [B,K,S/4,S/4], their embeddings [B,K,D], the neutral [B,1,D]."""
        check_size("sam-clip-zero-shot", images, PATCH, self.side)
        masks, quality = self._propose(images)
        best = quality.topk(self.kept, dim=1).indices
        chosen = torch.stack([each[rows] for each, rows in zip(masks, best, strict=True)])
        looks = torch.stack([self._look(photo, each) for photo, each in zip(images, chosen, strict=True)])
        neutral = self.encode_prompts([NEUTRAL])[None].expand(images.shape[0], -1, -1)
        return chosen, looks, neutral

    @torch.no_grad()
    def decode(self, features: Features, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Rank masks under prompts [P,D] or [B,P,D]: logits [B,P,S/4,S/4] and presence [B,P].

        A pixel is as likely as the best mask that holds it: the largest, over masks, of the smaller of the
        mask's logit and its score.
        """
        masks, looks, neutral = features
        prompts = functional.normalize(per_photo(embeddings, masks.shape[0]), dim=2)
        looks, neutral = functional.normalize(looks, dim=2), functional.normalize(neutral, dim=2)
        scale = self.clip.logit_scale.exp()
        scores = scale * ((prompts - neutral) @ looks.transpose(1, 2))
        logits = torch.minimum(masks[:, None], scores[:, :, :, None, None]).amax(2)
        return logits, scores.amax(2)

    def _propose(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Ask SAM at a grid of points: logits [B,M,h,w] and quality [B,M], M three a point."""
        steps = (torch.arange(self.points, device=images.device) + 0.5) * self.side / self.points
        grid = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1).reshape(1, -1, 1, 2)
        masks, quality = [], []
        for image in images[:, None]:
            out: Any = self.sam(
                image_embeddings=self.sam.vision_encoder(image).last_hidden_state,
                input_points=grid,
                input_labels=torch.ones(grid.shape[:3], dtype=torch.long, device=images.device),
                multimask_output=True,
            )
            masks.append(out.pred_masks[0].flatten(0, 1))
            quality.append(out.iou_scores[0].flatten())
        return torch.stack(masks), torch.stack(quality)

    def _look(self, photo: Tensor, masks: Tensor) -> Tensor:
        """Embed each mask's cut-out of a photo [3,S,S] through CLIP: [K,D]."""
        rgb = photo * _column(IMAGENET_STD).to(photo) + _column(IMAGENET_MEAN).to(photo)
        normal = (rgb - _column(CLIP_MEAN).to(photo)) / _column(CLIP_STD).to(photo)
        cuts = torch.stack([self._cut(normal, mask) for mask in masks])
        tower = self.clip.vision_model(cuts)
        looks: Tensor = self.clip.visual_projection(tower.pooler_output)
        return looks

    def _cut(self, photo: Tensor, mask: Tensor) -> Tensor:
        """Cut a mask's box out of a photo, the rest greyed, scaled to CLIP's square [3,c,c]."""
        size = (photo.shape[1], photo.shape[2])
        inside = (
            functional.interpolate(mask[None, None], size=size, mode="bilinear", align_corners=False)[0] > 0
        )
        rows, columns = inside[0].any(1).nonzero(), inside[0].any(0).nonzero()
        if not len(rows):
            return photo.new_zeros(3, self.crop, self.crop)
        top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
        part = (photo * inside)[:, top:bottom, left:right]
        return functional.interpolate(
            part[None], size=(self.crop, self.crop), mode="bilinear", antialias=True
        )[0]

    def load_pretrained(self, folders: Mapping[str, Path]) -> None:
        """Fill SAM and all of CLIP."""
        load_sam(self.sam, folders["sam"])
        self.load_whole(self.clip, folders["clip"], "clip")
