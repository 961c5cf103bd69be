"""Model families based on SAM: CLIP's text embedding prompts the mask decoder, or CLIP ranks the masks.

Kirillov et al., "Segment Anything" (ICCV 2023), https://arxiv.org/abs/2304.02643.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from drywallqa.imaging.letterbox import IMAGENET_MEAN, IMAGENET_STD
from drywallqa.models.contract import Features, TrainedLayers, check_size, load_strictly, per_photo
from drywallqa.models.published_weights import read_published
from drywallqa.models.registry import CLIP_MEAN, CLIP_STD
from drywallqa.models.towers import PATCH, ClipPrompted, clip_settings, text_settings

NEUTRAL = "a photo"
"""The neutral prompt against which the zero-shot family ranks masks."""
_TWINS = (
    "shared_image_embedding.positional_embedding",
    "prompt_encoder.shared_embedding.positional_embedding",
)


def make_sam(size: str) -> Any:
    """Create SAM with random weights: "base" as published (1024 px), or "tiny" (128 px)."""
    from transformers import SamConfig, SamModel

    if size == "base":
        return SamModel(SamConfig())
    side, width = 128, 32
    config = SamConfig(
        vision_config={
            "image_size": side, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
            "output_channels": width, "window_size": 4, "global_attn_indexes": [1],
            "num_pos_feats": width // 2, "mlp_dim": 96,
        },
        prompt_encoder_config={"hidden_size": width, "image_size": side, "mask_input_channels": 8},
        mask_decoder_config={
            "hidden_size": width, "mlp_dim": 64, "num_attention_heads": 2, "iou_head_hidden_dim": width,
        },
    )  # fmt: skip
    return SamModel(config)


def load_sam(sam: nn.Module, folder: Path) -> None:
    """Load published SAM weights from a folder and check every name and shape.

    Raises:
        ModelError: The folder contains another model, or names or shapes do not fit.
    """
    state = read_published(folder, "sam")
    # both names share one tensor, which safetensors stores once
    for here, there in (_TWINS, _TWINS[::-1]):
        if here in state:
            state.setdefault(there, state[here])
    load_strictly(sam, state, str(folder))


class SamClipModel(ClipPrompted):
    """SAM's frozen image encoder, and its mask decoder prompted by CLIP's text embedding.

    The text embedding is projected into SAM's prompt space. The decoder receives the projection as one sparse
    prompt token, in place of a point or a box. The model accepts one square input size.

    Args:
        size: "base" (1024 px) or "tiny" (128 px).

    Example:
        >>> model = SamClipModel("tiny").eval()
        >>> features = model.encode_image(torch.zeros(2, 3, 128, 128))
        >>> logits, presence = model.decode(features, model.encode_prompts(["segment crack"]))
        >>> tuple(logits.shape), tuple(presence.shape)
        ((2, 1, 32, 32), (2, 1))
    """

    stride = 4
    tower_path = "text"
    # the prompt encoder's points and boxes, and SAM's additional masks
    stops = (
        "sam.prompt_encoder", "sam.shared_image_embedding", "sam.mask_decoder.output_hypernetworks_mlps.1.",
        "sam.mask_decoder.output_hypernetworks_mlps.2.", "sam.mask_decoder.output_hypernetworks_mlps.3.",
    )  # fmt: skip

    def __init__(self, size: str = "base") -> None:
        super().__init__()
        from transformers import CLIPTextConfig, CLIPTextModelWithProjection

        config = CLIPTextConfig(**text_settings(size))
        self.text = CLIPTextModelWithProjection(config)
        self.sam = make_sam(size)
        self.embedding_width = int(config.projection_dim)
        self.side = int(self.sam.config.vision_config.image_size)
        width = int(self.sam.config.mask_decoder_config.hidden_size)
        self.prompt_projection = nn.Sequential(
            nn.Linear(self.embedding_width, width), nn.ReLU(), nn.Linear(width, width)
        )

    def vision_layers(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """Return the layers of SAM's image encoder, with its neck last, and the parts before these layers."""
        encoder = self.sam.vision_encoder
        return [*encoder.layers, encoder.neck], [encoder.patch_embed]

    def encode_image(self, images: Tensor) -> Features:
        """Encode [B,3,S,S] into SAM's embedding [B,C,S/16,S/16]."""
        check_size("sam-clip", images, PATCH, self.side)
        return (self.sam.vision_encoder(images).last_hidden_state,)

    def decode(self, features: Features, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Decode logits [B,P,S/4,S/4] and presence [B,P] for prompts [P,D] or [B,P,D].

        Before fine-tuning, the presence output is SAM's quality estimate for its mask.
        """
        photos = features[0].shape[0]
        token = self.prompt_projection(per_photo(embeddings, photos))[:, :, None]
        positions = self.sam.get_image_wide_positional_embeddings().expand(photos, -1, -1, -1)
        nothing = self.sam.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1).expand_as(features[0])
        masks, quality = self.sam.mask_decoder(
            image_embeddings=features[0],
            image_positional_embeddings=positions,
            sparse_prompt_embeddings=token,
            dense_prompt_embeddings=nothing,
            multimask_output=False,
        )
        return masks[:, :, 0], quality[:, :, 0]

    def photo_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the image encoder's parameters."""
        yield from self.sam.vision_encoder.parameters()

    def freeze(self, trained: TrainedLayers) -> None:
        """Freeze the image encoder and the text tower, except the last layers that `trained` selects."""
        super().freeze(trained)
        layers, _ = self.vision_layers()
        self.sam.vision_encoder.pos_embed.requires_grad_(trained.vision_layers > len(layers))

    def load_pretrained(self, folders: Mapping[str, Path]) -> None:
        """Load SAM and CLIP's text tower; the projection between them stays random."""
        load_sam(self.sam, folders["sam"])
        self.load_clip_text(folders["clip"])


def _column(values: tuple[float, float, float]) -> Tensor:
    return torch.tensor(values)[:, None, None]


class SamZeroShotModel(ClipPrompted):
    """SAM proposes masks at a grid of points, and CLIP ranks them for the prompt, without any training.

    A mask's score is the CLIP similarity of its crop to the prompt minus the similarity to a neutral prompt.
    No parameter was tuned on photos of walls. The model accepts one square input size.

    Args:
        size: "base" (1024 px) or "tiny" (128 px).
        points: Number of points along each side of the grid at which SAM proposes masks.
        kept: Number of masks that CLIP ranks. These are the masks of the best quality.

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
        """Encode [B,3,S,S]: mask logits [B,K,S/4,S/4], mask embeddings [B,K,D], neutral prompt [B,1,D]."""
        check_size("sam-clip-zero-shot", images, PATCH, self.side)
        masks, quality = self._propose(images)
        best = quality.topk(self.kept, dim=1).indices
        chosen = torch.stack([each[rows] for each, rows in zip(masks, best, strict=True)])
        cuts = torch.stack(
            [self._embed_cuts(photo, each) for photo, each in zip(images, chosen, strict=True)]
        )
        neutral = self.encode_prompts([NEUTRAL])[None].expand(images.shape[0], -1, -1)
        return chosen, cuts, neutral

    @torch.no_grad()
    def decode(self, features: Features, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Rank masks for prompts [P,D] or [B,P,D]: logits [B,P,S/4,S/4] and presence [B,P].

        A pixel takes its value from the best mask that contains it: the maximum over masks of
        min(mask logit, mask score).
        """
        masks, cuts, neutral = features
        prompts = functional.normalize(per_photo(embeddings, masks.shape[0]), dim=2)
        cuts, neutral = functional.normalize(cuts, dim=2), functional.normalize(neutral, dim=2)
        scale = self.clip.logit_scale.exp()
        scores = scale * ((prompts - neutral) @ cuts.transpose(1, 2))
        logits = torch.minimum(masks[:, None], scores[:, :, :, None, None]).amax(2)
        return logits, scores.amax(2)

    def _propose(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Let SAM propose three masks per grid point (M in total): logits [B,M,h,w] and quality [B,M]."""
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

    def _embed_cuts(self, photo: Tensor, masks: Tensor) -> Tensor:
        """Embed each mask's crop of a photo [3,S,S] with CLIP: [K,D]."""
        rgb = photo * _column(IMAGENET_STD).to(photo) + _column(IMAGENET_MEAN).to(photo)
        normal = (rgb - _column(CLIP_MEAN).to(photo)) / _column(CLIP_STD).to(photo)
        cuts = torch.stack([self._cut(normal, mask) for mask in masks])
        return self.clip.visual_projection(self.clip.vision_model(cuts).pooler_output)

    def _cut(self, photo: Tensor, mask: Tensor) -> Tensor:
        """Crop a mask's box from a photo, grey out its background, and scale it to CLIP's input [3,c,c]."""
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
        """Load SAM and all of CLIP."""
        load_sam(self.sam, folders["sam"])
        self.load_whole(self.clip, folders["clip"], "clip")
