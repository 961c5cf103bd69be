"""Symptom, cause, remedy and next command of each fault of a training run, as data.

The checks before the first step, the alarms during training and the diagnosis of a finished run use these
faults. A `Fault` is a general description, and a `FaultFinding` adds the evidence of one run.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """A possible fault.

    Attributes:
        name: Short, for logs and tests.
        symptom: The observable effect.
        cause: The cause of the symptom.
        remedy: What to change.
        command: The command to run next; words in capitals are placeholders for the user's paths.
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
        "truth masks contain 0–255, or other values outside 0–1, but shares of foreground from 0 to 1 "
        "are expected",
        "divide the masks by 255, or read them as booleans with drywallqa.imaging.mask_files.read_mask",
        _SHEET,
    ),
    Fault(
        "masks-empty",
        "the loss falls to nearly nothing and every prediction is background",
        "the truth shows no foreground at all, so marking nothing is right",
        "check the masks; map the export's classes to concepts again and repeat the import",
        "drywallqa data stats DIR",
    ),
    Fault(
        "masks-full",
        "every prediction is foreground",
        "nearly all of the truth is foreground, as if the masks were inverted or framed the photo",
        "invert the masks, or drop annotations that fill the frame",
        "drywallqa data audit DIR --sheet audit.png",
    ),
    Fault(
        "images-range",
        "the loss hardly moves, or jumps",
        "the photos reach the model outside the range of normalised pixels (about −3 to 3)",
        "bring photos to the model through drywallqa.imaging.letterbox, which normalises them once",
        _SHEET,
    ),
    Fault(
        "prompt-unknown",
        "a prompt that was trained on is refused, or gets another concept's mask",
        "the text side does not map a training phrasing to its concept",
        "remove the phrasing, or fit the text side to these concepts",
        "drywallqa train --data DIR --out RUN --overwrite --text TEXTSIDE",
    ),
    Fault(
        "prompts-alike",
        "masks are the same under every prompt",
        "the text side gives two concepts the same embedding, so no decoder can tell them apart",
        "use distinct phrasings for the concepts, or another text side",
        "drywallqa train --data DIR --out RUN --overwrite --text TEXTSIDE",
    ),
    Fault(
        "split-leak",
        "validation looks far better than new photos do",
        "copies of one photograph are in both the train and the val part",
        "split by photograph",
        "drywallqa data split DIR --ratios 70/15/15 --seed 0",
    ),
    Fault(
        "made-in-forward",
        "the loss wanders and the same photo gives a different mask each time",
        "layers with weights are created again in every forward call, so they are random and never trained",
        "make every layer in __init__",
        _AGAIN,
    ),
    Fault(
        "made-late",
        "the loss falls slowly and part of the model keeps its random start",
        "layers are created in the first forward call, after the optimizer was given its parameters",
        "make every layer in __init__, before the optimizer",
        _AGAIN,
    ),
    Fault(
        "outside-optimizer",
        "the loss falls slowly and part of the model keeps its random start",
        "trainable parameters were not given to the optimizer",
        "pass every trainable parameter to the optimizer, or freeze what is not meant to be trained",
        _AGAIN,
    ),
    Fault(
        "outside-saved-state",
        "training looks good, but the model loaded from its checkpoint segments nothing",
        "weights that the loss depends on are missing from the model's state_dict",
        "store layers as attributes, in nn.ModuleList or nn.ParameterList, and do not filter state_dict",
        _AGAIN,
    ),
    Fault(
        "decoder-frozen",
        "the loss does not fall",
        "nothing outside the encoder is trained, so the decoder cannot learn",
        "leave requires_grad on in the decoder; frozen_stages is meant only for the encoder",
        _AGAIN,
    ),
    Fault(
        "no-gradient",
        "part of the model keeps its random start",
        "trainable parameters get no gradient: the loss does not depend on them, or the graph is cut",
        "look for detach(), no_grad() and layers that are never called; freeze what is unused",
        _AGAIN,
    ),
    Fault(
        "sigmoid-twice",
        "the loss stays near 0.69 and probabilities between 0.5 and 0.73",
        "the model ends in a sigmoid and the loss applies another",
        "return logits from the model; the only sigmoid is in drywallqa.imaging.letterbox.sigmoid",
        _AGAIN,
    ),
    Fault(
        "loss-start",
        "the loss starts far too high",
        "the output's scale is wrong: the model is confident before it has learnt anything",
        "give the last layer small initial weights, and check the model's inputs",
        _SHEET,
    ),
    Fault(
        "rate-too-high",
        "the loss jumps, then stays where it is",
        "the learning rate is too high for the size of the weights",
        "divide the rates by 10 or 100",
        _SLOWER,
    ),
    Fault(
        "prompt-ignored",
        "masks are the same under every prompt",
        "the decoder does not use the prompt's embedding",
        "condition the decoder on the embedding, and train with prompts for absent concepts",
        _AGAIN,
    ),
    Fault(
        "collapse-background",
        "IoU and Dice stay at zero while pixel accuracy looks high",
        "the model has settled on background: foreground is rare, and the loss or rate lets it give up",
        "weight foreground higher or use a loss made for class imbalance, and lower the rate",
        "drywallqa train --data DIR --out RUN --overwrite --set loss.name=weighted_bce_dice",
    ),
    Fault(
        "collapse-foreground",
        "every pixel is marked",
        "the model has settled on foreground: its weight is too high, or the rate is",
        "lower loss.pos_weight and the rate",
        "drywallqa train --data DIR --out RUN --overwrite --set loss.pos_weight=1",
    ),
    Fault(
        "validation-empty",
        "IoU and Dice on validation are exactly zero while the loss falls",
        "no mask overlaps its truth at a threshold of 0.5: the model has settled on background, its "
        "presence output is still negative, or photos are validated at another scale than training's",
        "train longer, weight foreground higher, or bring validation_window near the scale of training",
        "drywallqa train --data DIR --out RUN --overwrite --set loss.name=weighted_bce_dice",
    ),
    Fault(
        "loss-not-finite",
        "the loss is NaN or infinite",
        "a value in the batch, in the weights or in the loss became NaN or infinite",
        "replay the saved batch; lower the rate if the weights are the ones that are not finite",
        "python -c \"import torch; print(torch.load('RUN/not-finite.pt', weights_only=True).keys())\"",
    ),
)
