"""Descriptions of possible faults of a training run, each with its symptom, cause, remedy and a command.

The checks before the first step, the alarms during training and the diagnosis of a finished run report these
faults. A `Fault` is a general description. A `FaultFinding` adds the evidence of one run.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """A possible fault of a data set, a training run or a model.

    Attributes:
        name: Short name for logs and tests.
        symptom: The observable effect.
        cause: The cause of the symptom.
        remedy: What to change.
        command: The command to run next. Words in capitals are placeholders for the user's paths.
    """

    name: str
    symptom: str
    cause: str
    remedy: str
    command: str


_SHEET = "drywallqa train --data DIR --out RUN --show-batch batch.png"
_SLOWER = "drywallqa train --data DIR --out RUN --overwrite --set optimisation.decoder_rate=1e-3"
_AGAIN = "drywallqa train --data DIR --out RUN --overwrite --fail-fast"

TRAINING_FAULTS = (
    Fault(
        "masks-range",
        "the loss is negative or in the hundreds, and falls without limit",
        "ground-truth masks contain values outside 0–1, such as 0–255, but the loss expects shares from 0 "
        "to 1",
        "divide the masks by 255, or read boolean masks with drywallqa.imaging.mask_files.read_mask",
        _SHEET,
    ),
    Fault(
        "masks-empty",
        "the loss falls to nearly zero and every prediction is background",
        "the ground-truth masks have no foreground, so an empty mask is always correct",
        "check the masks; correct the mapping from classes to concepts, and import the data set again",
        "drywallqa data stats DIR",
    ),
    Fault(
        "masks-full",
        "every prediction is foreground",
        "nearly all pixels of the ground-truth masks are foreground; the masks may be inverted",
        "invert the masks, or remove annotations that fill the photo",
        "drywallqa data audit DIR --sheet audit.png",
    ),
    Fault(
        "images-range",
        "the loss hardly changes, or jumps",
        "the pixels that the model gets are outside the range of normalised pixels (about −3 to 3)",
        "prepare photos with drywallqa.imaging.letterbox, which normalises each photo once",
        _SHEET,
    ),
    Fault(
        "prompt-unknown",
        "a prompt from training is rejected, or gets another concept's mask",
        "the text model does not map a training phrasing to its concept",
        "remove the phrasing, or train a text model for these concepts",
        "drywallqa train --data DIR --out RUN --overwrite --text TEXTSIDE",
    ),
    Fault(
        "prompts-alike",
        "masks are the same for every prompt",
        "the text model gives two concepts the same embedding, so no decoder can distinguish the concepts",
        "use different phrasings for the concepts, or another text model",
        "drywallqa train --data DIR --out RUN --overwrite --text TEXTSIDE",
    ),
    Fault(
        "split-leak",
        "metrics are far better on validation than on new photos",
        "copies of one source photo are in both the train and the val split",
        "split by source photo",
        "drywallqa data split DIR --ratios 70/15/15 --seed 0",
    ),
    Fault(
        "made-in-forward",
        "the loss does not fall steadily, and the same photo gives a different mask each time",
        "layers are created again in every forward call, so their weights are random and not trained",
        "create every layer in __init__",
        _AGAIN,
    ),
    Fault(
        "made-late",
        "the loss falls slowly and part of the model keeps its random initial weights",
        "layers are created in the first forward call, after the optimizer was created",
        "create every layer in __init__, before the optimizer",
        _AGAIN,
    ),
    Fault(
        "outside-optimizer",
        "the loss falls slowly and part of the model keeps its random initial weights",
        "trainable parameters were not passed to the optimizer",
        "pass every trainable parameter to the optimizer, or freeze the other parameters",
        _AGAIN,
    ),
    Fault(
        "outside-saved-state",
        "training looks good, but the model from the checkpoint gives empty masks",
        "weights that the loss depends on are missing from the model's state_dict",
        "store layers as attributes, in nn.ModuleList or nn.ParameterList, and do not filter state_dict",
        _AGAIN,
    ),
    Fault(
        "decoder-frozen",
        "the loss does not fall",
        "only the encoder is trained, so the decoder cannot learn",
        "keep requires_grad True in the decoder; use frozen_stages only for the encoder",
        _AGAIN,
    ),
    Fault(
        "no-gradient",
        "part of the model keeps its random initial weights",
        "trainable parameters get no gradient: the loss does not depend on them, or the graph is detached",
        "look for detach(), no_grad() and layers that are never called; freeze unused parameters",
        _AGAIN,
    ),
    Fault(
        "sigmoid-twice",
        "the loss stays near 0.69, and probabilities stay between 0.5 and 0.73",
        "the model ends with a sigmoid, and the loss applies a second sigmoid",
        "return logits from the model; the only sigmoid is in drywallqa.imaging.letterbox.sigmoid",
        _AGAIN,
    ),
    Fault(
        "loss-start",
        "the loss starts far too high",
        "the scale of the output is wrong, so the untrained model is too confident",
        "use small initial weights in the last layer, and check the model's inputs",
        _SHEET,
    ),
    Fault(
        "rate-too-high",
        "the loss jumps and then stays high",
        "the learning rate is too high for the size of the weights",
        "divide the learning rates by 10 or 100",
        _SLOWER,
    ),
    Fault(
        "prompt-ignored",
        "masks are the same for every prompt",
        "the decoder does not use the prompt's embedding",
        "condition the decoder on the embedding, and train with prompts for absent concepts",
        _AGAIN,
    ),
    Fault(
        "collapse-background",
        "IoU and Dice stay at zero although pixel accuracy is high",
        "the model predicts only background, because foreground is rare and the loss does not compensate",
        "use a higher foreground weight or a loss for class imbalance, and lower the learning rate",
        "drywallqa train --data DIR --out RUN --overwrite --set loss.name=weighted_bce_dice",
    ),
    Fault(
        "collapse-foreground",
        "every pixel is marked",
        "the model predicts only foreground, because the foreground weight or the rate is too high",
        "lower loss.pos_weight and the learning rate",
        "drywallqa train --data DIR --out RUN --overwrite --set loss.pos_weight=1",
    ),
    Fault(
        "validation-empty",
        "IoU and Dice on validation are exactly zero although the loss falls",
        "at a threshold of 0.5, no mask overlaps the ground truth: the model predicts only background, the "
        "presence logit is still negative, or photos have a different scale than in training",
        "train longer, use a higher foreground weight, or set validation_window to the scale of training",
        "drywallqa train --data DIR --out RUN --overwrite --set loss.name=weighted_bce_dice",
    ),
    Fault(
        "loss-not-finite",
        "the loss is NaN or infinite",
        "a value in the batch, in the weights or in the loss became NaN or infinite",
        "replay the saved batch; lower the learning rate if the weights are not finite",
        "python -c \"import torch; print(torch.load('RUN/not-finite.pt', weights_only=True).keys())\"",
    ),
)
