"""Faults of a trained model, as data; `training_faults` contains the faults that appear during training."""

from __future__ import annotations

from drywallqa.checks.training_faults import Fault

_EXPORT = "drywallqa export RUN --data DIR --out BUNDLE --overwrite"
_CHOOSE = "drywallqa evaluate --model BUNDLE --data DIR --split val --choose iou --write"
_TRAIN = "drywallqa train --data DIR --out RUN --overwrite --fail-fast"

MODEL_FAULTS = (
    Fault(
        "bundle-damaged",
        "the bundle is refused, or its masks differ from those at its export",
        "files of the bundle are missing or are not the ones that were exported (their SHA-256 differs)",
        "get the bundle again, or export the run anew",
        _EXPORT,
    ),
    Fault(
        "weights-not-finite",
        "every logit is NaN, or no pixel is ever marked",
        "weights are NaN or infinite: a loss that was not finite reached them",
        "go back to an earlier checkpoint, lower the rate, and let the run stop at such a loss",
        _TRAIN,
    ),
    Fault(
        "weights-zero",
        "every photo gets the same mask",
        "layers are dead: their weights are zero or all the same number",
        "train them again, or take a checkpoint in which they are alive",
        _TRAIN,
    ),
    Fault(
        "weights-untrained",
        "masks are poor although the loss fell; part of the model computes random features",
        "layers still have their random start: they were never optimised (left out of the optimizer, "
        "made after it, made anew in forward, or cut off from the loss)",
        "make every layer in __init__, pass all of them to the optimizer, and train again",
        _TRAIN,
    ),
    Fault(
        "weights-unlike-graph",
        "the bundle gives other masks when it is fine-tuned or opened in torch",
        "the graphs that run (ONNX) and the weights in model.safetensors are not the same model: one of "
        "them was changed or comes from another export",
        "export the run anew, which writes both and compares them",
        _EXPORT,
    ),
    Fault(
        "average-stale",
        "validation looks far worse than the training loss does",
        "the averaged weights, which are validated and shipped, do not follow the trained ones",
        "lower optimisation.average_decay, or train longer than the average's memory",
        "drywallqa train --data DIR --out RUN --overwrite --set optimisation.average_decay=0.99",
    ),
    Fault(
        "model-damaged",
        "the model is far worse than the figures it carries, on photos that another model masters",
        "its weights are not those that its figures were measured with: damaged, partly lost or replaced",
        "get the bundle again, or export the run anew",
        _EXPORT,
    ),
    Fault(
        "channel-order",
        "masks are worse than they should be, most of all on coloured walls",
        "colour channels come in the wrong order: BGR where RGB is expected",
        "read photos through drywallqa.imaging.photos, which gives RGB; export or import anew",
        _EXPORT,
    ),
    Fault(
        "normalisation",
        "masks are poor although training went well",
        "photos are normalised otherwise when the model runs than when it was trained (mean and standard "
        "deviation, or the 0–255 range)",
        "use the normalisation of training; export the run anew, which writes it into the bundle",
        _EXPORT,
    ),
    Fault(
        "window-size",
        "masks are coarse or miss thin things although training went well",
        "photos reach the model at another size or shape (window) than that of training and of its "
        "thresholds",
        "use the window that was chosen on validation; export the run anew",
        _EXPORT,
    ),
    Fault(
        "prompts-exchanged",
        "under one concept's prompt the model marks the other",
        "prompts are swapped: the text side, the phrasings or the concepts of the model stand for each other",
        "give each concept its own phrasings, and export with the text side of training",
        _EXPORT,
    ),
    Fault(
        "output-constant",
        "masks are the same for every photo: empty, full, or one pattern",
        "the decoder is dead: its output does not depend on the photo",
        "look for weights that are zero, a cut graph or a collapsed training, and train again",
        _TRAIN,
    ),
    Fault(
        "output-inverted",
        "the model marks everything but the concept of the prompt",
        "the output's sign is wrong: background is taken for foreground (inverted logits or masks)",
        "turn the sign of the output, or train with masks whose foreground is bright",
        _EXPORT,
    ),
    Fault(
        "output-scale",
        "good masks exist, but only at an extreme threshold",
        "the output's scale or offset is wrong: logits are scaled, shifted, or squeezed by a sigmoid too "
        "many",
        "return plain logits, and choose the thresholds on validation again",
        _CHOOSE,
    ),
    Fault(
        "mask-threshold-high",
        "masks are too small, or empty, although the model separates well",
        "the mask threshold is too high for this model: stale, mistyped, or from another model",
        "choose the thresholds on validation again",
        _CHOOSE,
    ),
    Fault(
        "mask-threshold-low",
        "masks are far too large although the model separates well",
        "the mask threshold is too low for this model: stale, mistyped, or from another model",
        "choose the thresholds on validation again",
        _CHOOSE,
    ),
    Fault(
        "presence-threshold",
        "masks are empty where the concept is present, or false alarms come where it is absent",
        "the presence threshold does not fit this model: present concepts count as absent, or the reverse",
        "choose the thresholds on validation again",
        _CHOOSE,
    ),
    Fault(
        "threshold-from-test",
        "test figures are better than those of new photos",
        "the thresholds were tuned on the test part, so that it no longer tests anything",
        "choose the thresholds on validation",
        _CHOOSE,
    ),
    Fault(
        "text-side",
        "masks are poor under every prompt, and alike",
        "the text side is not the one that the decoder was trained with: its embeddings lie in another space",
        "export with the text side of the run, which lies in its folder",
        _EXPORT,
    ),
    Fault(
        "parts-frozen",
        "the loss falls slowly and part of the model keeps its random start",
        "parts that start at random were frozen (requires_grad off), so they were never trained",
        "leave requires_grad on outside the encoder; frozen_stages is meant for the encoder alone",
        _TRAIN,
    ),
    Fault(
        "phrase-noise",
        "masks are the same under every prompt",
        "so much noise is added to the prompts' embeddings (data.phrase_jitter) that training cannot "
        "tell prompts apart",
        "keep data.phrase_jitter near 0.03",
        "drywallqa train --data DIR --out RUN --overwrite --set data.phrase_jitter=0.03",
    ),
    Fault(
        "scale-mismatch",
        "validation is poor though the training loss falls",
        "photos are validated at another size than they are trained at",
        "bring validation_window into the range of data.photo_scale",
        "drywallqa train --data DIR --out RUN --overwrite --set validation_window=384",
    ),
    Fault(
        "rate-too-low",
        "the loss hardly moves, however long the run",
        "the learning rate is far too low to change the weights",
        "raise the rates; 1e-4 to 1e-3 suits a decoder",
        "drywallqa train --data DIR --out RUN --overwrite --set optimisation.decoder_rate=1e-3",
    ),
)
