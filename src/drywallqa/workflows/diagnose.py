"""Diagnose a model: run the model on photos, check for all known faults, and rank the findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from drywallqa.bundle.bundle import DECODER, DEFAULT, HEAD, IMAGE_ENCODER, Bundle, load_bundle
from drywallqa.checks import model_outputs
from drywallqa.checks.coarse_pairs import CoarsePair, by_concept, coarse_iou, mean_or_zero
from drywallqa.checks.data_checks import check_problems
from drywallqa.checks.findings import Diagnosis, FaultFinding, finding_of, rank_findings
from drywallqa.checks.label_checks import check_labels
from drywallqa.checks.mask_values import check_mask_files
from drywallqa.datasets import dataset as datasets
from drywallqa.datasets.dataset import Dataset
from drywallqa.diagnosis import counterfactuals, file_checks
from drywallqa.diagnosis.probe import ModelProbe, ProbePhoto, pick_photos, read_probe_photos
from drywallqa.errors import BundleError, ConfigError, MissingExtraError
from drywallqa.evaluation.measured_model import MeasuredModel, measured_bundle
from drywallqa.imaging.letterbox import logit
from drywallqa.text.text_side import UNDERSTANDING, TextSide

if TYPE_CHECKING:
    from torch import Tensor

PHOTOS = 40
"""Number of photos per split on which the model is run."""
VARIED = 8
"""Number of photos on which the model is also run with varied inputs."""
_GRAPHS = (IMAGE_ENCODER, DECODER, UNDERSTANDING, "text_encoder.onnx")
PROVED = 0.96
"""A finding of at least this weight is proof of its cause. The runs with varied inputs are then skipped."""


@dataclass(frozen=True, eq=False)
class DiagnosedModel:
    """A model to diagnose, and the information from its files.

    Attributes:
        subject: The runnable model; None if the model cannot be opened.
        bundle: The bundle; None for a run or a weights file, for which no thresholds were chosen.
        trained: The run's model without weight averaging; None for a bundle or a weights file.
        weights: The bundle's weights; None if the bundle has no weights or torch is not installed.
        young: Whether the model has not been trained enough to give meaningful predictions.
        findings: Faults in the model's files.
        notes: Remarks for the user.
    """

    subject: MeasuredModel | None
    bundle: Bundle | None = None
    trained: MeasuredModel | None = None
    weights: Mapping[str, Tensor] | None = None
    young: bool = False
    findings: Sequence[FaultFinding] = ()
    notes: Sequence[str] = ()


def run_diagnosis(
    model: Path | None, data: Path, photos: int = PHOTOS, family: str | None = None
) -> Diagnosis:
    """Diagnose a run, a bundle or a weights file on a data set.

    Args:
        model: Folder of a run or bundle, or a weights file; None for the bundled model.
        data: Folder of the data set.
        photos: Number of photos per split on which the model is run.
        family: Model family of a weights file; None to infer it from the names and shapes of the weights.

    Raises:
        DataError: The folder is not a data set.
        ConfigError: The splits train, val and test have no readable photo.
        BundleError: The model is not a run, a bundle or a file, or it cannot be opened.
        ModelError: A checkpoint or weights file cannot be read.
    """
    dataset = datasets.load_dataset(data)
    opened = _open(model, family)
    sample, mask_files, broken = read_probe_photos(dataset, photos)
    if not sample:
        raise ConfigError(f"{dataset.folder} has no photo in train, val or test; run: drywallqa data split")
    found = Diagnosis(str(model or "the bundled model"), str(data), notes=[*opened.notes])
    found.photos = dict(Counter(photo.sample.split or "none" for photo in sample))
    hashes = opened.subject.training_hashes if opened.subject else ()
    found.findings = [
        *opened.findings,
        *file_checks.check_parts(dataset),
        *check_problems(broken, len(sample)),
        *check_mask_files(mask_files),
        *file_checks.check_pictures(dataset, sample, hashes),
    ]
    for concept, pairs in by_concept(_judge(opened, dataset, sample, found)).items():
        shown = [pair for pair in pairs if pair.truth.any()]
        found.facts[concept] = model_outputs.output_facts(pairs)
        found.sweep[concept] = []
        for threshold in [round(0.1 * step, 1) for step in range(1, 10)]:
            iou = mean_or_zero(coarse_iou(pair.logits > logit(threshold), pair.truth) for pair in shown)
            found.sweep[concept].append((threshold, round(iou, 4)))
    found.findings = rank_findings(found.findings)
    return found


def _open(model: Path | None, family: str | None) -> DiagnosedModel:
    if model is None or (model / HEAD).is_file():
        return _open_bundle(model)
    is_run = (model / "config.yaml").is_file()
    if not is_run and not model.is_file():
        raise BundleError(
            f"{model} is neither a bundle ({HEAD} is missing), nor a run (config.yaml is missing), nor a file"
        )
    if find_spec("lightning") is None:
        raise MissingExtraError(f"diagnosing a {'run' if is_run else 'weights file'}", "train")
    if is_run:
        from drywallqa.training.open_run import open_finished

        run = open_finished(model)
        return DiagnosedModel(run.averaged, None, run.trained, None, run.young, run.findings, run.notes)
    from drywallqa.checks.weight_values import check_weights
    from drywallqa.diagnosis import recognised_weights

    state = recognised_weights.read_foreign_weights(model)
    known = recognised_weights.recognise_family(state, family)
    subject = recognised_weights.open_weights(model, known, state)
    notes = [known.sentence(state)]
    if subject is None:
        notes.append(
            "the predictions were not checked, because drywallqa cannot run this family from a weights file"
        )
    findings = [*recognised_weights.check_family(known), *check_weights(state)]
    return DiagnosedModel(subject, findings=findings, notes=notes)


def _open_bundle(model: Path | None) -> DiagnosedModel:
    bundle, damaged = file_checks.check_bundle_files(load_bundle(model))
    findings = [*damaged, *file_checks.check_bundle_head(bundle)]
    try:
        weights = file_checks.read_bundle_weights(bundle)
        subject = measured_bundle(bundle)
    except Exception as error:  # the runtime may raise any error if a graph is damaged
        findings.append(finding_of("bundle-damaged", f"the bundle cannot be opened: {error}", 0.994))
        return DiagnosedModel(None, findings=findings)
    claimed = [float(figures.get("iou") or 0) for figures in dict(bundle.metrics.get("val", {})).values()]
    young = bool(claimed) and max(claimed) < model_outputs.USABLE
    notes = []
    if weights is None:
        notes.append("the weights were not compared with the graphs, because torch is not installed")
    else:
        from drywallqa.checks.weight_values import check_weights

        findings += check_weights(weights, trained=not young)
    return DiagnosedModel(subject, bundle, None, weights, young, findings, notes)


def _judge(
    model: DiagnosedModel, dataset: Dataset, photos: Sequence[ProbePhoto], found: Diagnosis
) -> Sequence[CoarsePair]:
    """Run the model and the bundled model on the photos, and use the predictions to check labels and model.

    Returns:
        The predictions of the model, or those of the bundled model if the model made none.
    """
    reference = load_bundle(DEFAULT)
    labelled = list(dict.fromkeys(concept for photo in photos for concept in photo.truths))
    if model.bundle is not None:
        own = {concept: settings.phrasings for concept, settings in model.bundle.concepts.items()}
        found.findings += file_checks.check_text_side(model.bundle, own, "the bundle's phrasings")
    found.findings += file_checks.check_text_side(reference, dataset.concepts, "the data set's phrasings")
    other = _probe(measured_bundle(reference, "the bundled model"), labelled)
    second = other.predict(photos) if other else []
    files = model.bundle.files if model.bundle and model.bundle.window == reference.window else {}
    same = all(files.get(name, "missing") == reference.files.get(name) for name in _GRAPHS)
    probe = _probe(model.subject, labelled, other if same else None)
    pairs = probe.predict(photos) if probe else []
    wrong_labels = check_labels(second or pairs)
    found.findings += wrong_labels
    if probe:
        text = None if same else reference.text
        _judge_model(model, probe, photos, pairs, second, found, not wrong_labels, text)
    elif model.subject is not None:
        found.notes.append(
            "the predictions were not checked, because the model knows none of the data set's concepts"
        )
    return pairs or second


def _probe(
    subject: MeasuredModel | None, labelled: Sequence[str], like: ModelProbe | None = None
) -> ModelProbe | None:
    """Prepare a model to predict the labelled concepts. Return None if the model knows no such concept."""
    shared = [concept for concept in labelled if subject is not None and concept in subject.thresholds]
    return ModelProbe(subject, shared, like) if subject is not None and shared else None


def _judge_model(
    model: DiagnosedModel,
    probe: ModelProbe,
    photos: Sequence[ProbePhoto],
    pairs: Sequence[CoarsePair],
    second: Sequence[CoarsePair],
    found: Diagnosis,
    labels_hold: bool,
    other_text: TextSide | None,
) -> None:
    """Check the predictions of the model. Compare the predictions with the labels if the labels are correct.

    Args:
        model: The model to check.
        probe: Object that runs the model.
        photos: The photos.
        pairs: Predictions of the model.
        second: Predictions of the bundled model.
        found: The diagnosis. New findings are added to it.
        labels_hold: Whether the labels are correct.
        other_text: Text encoder of the bundled model; None if the model has the same text encoder.
    """
    outputs = model_outputs.check_range(pairs)
    broken = any(finding.name == "weights-not-finite" for finding in outputs)
    found.findings += outputs if broken or not model.young else []
    if broken:
        return
    if model.bundle and model.weights is not None:
        running = probe.subject.segmenter.open()
        found.findings += file_checks.check_graph(model.bundle, model.weights, photos[:3], running)
    picked = pick_photos(photos, VARIED)
    if labels_hold and model.trained is not None:
        found.findings += counterfactuals.check_average(probe, model.trained, picked)
    if not labels_hold or model.young:
        return
    found.findings += model_outputs.check_exchange(pairs) + model_outputs.check_sign(pairs)
    if not outputs and not any(finding.weight >= PROVED for finding in found.findings):
        variants = counterfactuals.run_variants(probe, picked)
        found.findings += model_outputs.check_inputs(probe.predict(picked), variants)
        if other_text is not None:
            # With wrong text embeddings, the model marks any salient object, which is often correct.
            # Only a larger number of photos shows the difference.
            more = pick_photos(photos, 3 * VARIED)
            variants = counterfactuals.run_other_text(probe, more, other_text)
            found.findings += model_outputs.check_inputs(probe.predict(more), variants)
    if model.bundle is not None:
        val, test = ([pair for pair in pairs if pair.part == part] for part in ("val", "test"))
        found.findings += model_outputs.check_thresholds(val or test or pairs, test if val else ())
        found.findings += counterfactuals.check_tuned(model.bundle, probe, photos)
        found.findings += counterfactuals.check_claims(model.bundle, pairs, second)
