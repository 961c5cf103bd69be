"""Descriptions of the faults of a trained model. `training_faults` describes the faults of a training run."""

from __future__ import annotations

from drywallqa.checks.training_faults import Fault

_EXPORT = "drywallqa export RUN --data DIR --out BUNDLE --overwrite"
_CHOOSE = "drywallqa evaluate --model BUNDLE --data DIR --split val --choose iou --write"
_TRAIN = "drywallqa train --data DIR --out RUN --overwrite --fail-fast"

MODEL_FAULTS = (
    Fault(
        "bundle-damaged",
        "the bundle cannot be opened, or its masks differ from the masks at its export",
        "files of the bundle are missing or were changed after the export (their SHA-256 differs)",
        "get the bundle again, or export the run again",
        _EXPORT,
    ),
    Fault(
        "weights-not-finite",
        "every logit is NaN, or no pixel is ever marked",
        "weights are NaN or infinite, because they were updated with a NaN or infinite loss",
        "return to an earlier checkpoint, lower the learning rate, and stop the run at such a loss",
        _TRAIN,
    ),
    Fault(
        "weights-zero",
        "every photo gets the same mask",
        "layers are dead: their weights are zero or constant",
        "train these layers again, or use a checkpoint in which their weights differ",
        _TRAIN,
    ),
    Fault(
        "weights-untrained",
        "masks are poor although the loss fell; part of the model computes random features",
        "layers still have their random initial weights, because they were not optimised (not in the "
        "optimizer, created after it, created again in forward, or without influence on the loss)",
        "create every layer in __init__, pass all parameters to the optimizer, and train again",
        _TRAIN,
    ),
    Fault(
        "weights-unlike-graph",
        "the bundle gives different masks when it is opened in torch or fine-tuned",
        "the ONNX graphs and the weights in model.safetensors are not the same model: the graphs or the "
        "weights were changed or come from another export",
        "export the run again; the export writes graphs and weights and compares them",
        _EXPORT,
    ),
    Fault(
        "average-stale",
        "validation is far worse than the training loss suggests",
        "the averaged weights, which are used for validation and export, do not follow the trained weights",
        "lower optimisation.average_decay, or train for more steps",
        "drywallqa train --data DIR --out RUN --overwrite --set optimisation.average_decay=0.99",
    ),
    Fault(
        "model-damaged",
        "the model is far worse than its stored metrics, on photos that another model segments well",
        "the weights were damaged, partly lost or replaced after the metrics were measured",
        "get the bundle again, or export the run again",
        _EXPORT,
    ),
    Fault(
        "channel-order",
        "masks are worse than expected, especially on coloured walls",
        "colour channels are in the wrong order: the model gets BGR but expects RGB",
        "read photos with drywallqa.imaging.photos, which returns RGB; export or import again",
        _EXPORT,
    ),
    Fault(
        "normalisation",
        "masks are poor although training went well",
        "photos are normalised differently than in training (mean and standard deviation, or the range "
        "0–255)",
        "use the normalisation of training; export the run again to write it into the bundle",
        _EXPORT,
    ),
    Fault(
        "window-size",
        "masks are coarse or miss thin objects although training went well",
        "photos reach the model at a different size or shape (window) than in training and in the choice of "
        "thresholds",
        "use the window that was chosen on validation; export the run again",
        _EXPORT,
    ),
    Fault(
        "prompts-exchanged",
        "with the prompt of one concept, the model marks the other concept",
        "prompts are swapped: the text model or the phrasings refer to the wrong concepts",
        "assign phrasings to the correct concepts, and export with the text model of training",
        _EXPORT,
    ),
    Fault(
        "output-constant",
        "masks are the same for every photo: empty, full, or one pattern",
        "the decoder is dead, so its output does not depend on the photo",
        "look for zero weights, a detached graph or a collapsed training run, and train again",
        _TRAIN,
    ),
    Fault(
        "output-inverted",
        "the model marks everything but the concept of the prompt",
        "the sign of the output is wrong: logits or masks are inverted",
        "invert the sign of the output, or train with masks whose foreground is bright",
        _EXPORT,
    ),
    Fault(
        "output-scale",
        "good masks exist, but only at an extreme threshold",
        "the scale or offset of the output is wrong: logits are scaled or shifted, or a sigmoid was applied "
        "twice",
        "return unchanged logits, and choose the thresholds on validation again",
        _CHOOSE,
    ),
    Fault(
        "mask-threshold-high",
        "masks are too small or empty, although the model separates foreground and background well",
        "the mask threshold is too high for this model: stale, mistyped, or from another model",
        "choose the thresholds on validation again",
        _CHOOSE,
    ),
    Fault(
        "mask-threshold-low",
        "masks are far too large, although the model separates foreground and background well",
        "the mask threshold is too low for this model: stale, mistyped, or from another model",
        "choose the thresholds on validation again",
        _CHOOSE,
    ),
    Fault(
        "presence-threshold",
        "masks are empty on photos with the concept, or there are false alarms on photos without it",
        "the presence threshold is too high or too low for this model",
        "choose the thresholds on validation again",
        _CHOOSE,
    ),
    Fault(
        "threshold-from-test",
        "metrics are better on test photos than on new photos",
        "the thresholds were tuned on the test split, so the test metrics are too good",
        "choose the thresholds on validation",
        _CHOOSE,
    ),
    Fault(
        "text-side",
        "masks are poor and similar for all prompts",
        "the decoder was trained with another text model, whose embeddings were different",
        "export with the text model in the folder of the run",
        _EXPORT,
    ),
    Fault(
        "parts-frozen",
        "the loss falls slowly and part of the model keeps its random initial weights",
        "layers with random initial weights were frozen (requires_grad is False), so they were not trained",
        "keep requires_grad True outside the encoder; use frozen_stages only for the encoder",
        _TRAIN,
    ),
    Fault(
        "phrase-noise",
        "masks are the same for every prompt",
        "too much noise is added to the prompt embeddings (data.phrase_jitter), so the model cannot "
        "distinguish prompts",
        "keep data.phrase_jitter near 0.03",
        "drywallqa train --data DIR --out RUN --overwrite --set data.phrase_jitter=0.03",
    ),
    Fault(
        "scale-mismatch",
        "validation is poor though the training loss falls",
        "photos have a different size in validation than in training",
        "set validation_window to a size in the range of data.photo_scale",
        "drywallqa train --data DIR --out RUN --overwrite --set validation_window=384",
    ),
    Fault(
        "rate-too-low",
        "the loss hardly changes, even in a long run",
        "the learning rate is far too low to change the weights",
        "raise the learning rates; 1e-4 to 1e-3 is suitable for a decoder",
        "drywallqa train --data DIR --out RUN --overwrite --set optimisation.decoder_rate=1e-3",
    ),
)
