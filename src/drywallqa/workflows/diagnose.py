"""What `drywallqa diagnose` does: open the model, look at photos, try every cause, rank what holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from drywallqa.bundle.bundle import DECODER, DEFAULT, HEAD, IMAGE_ENCODER, Bundle, load_bundle
from drywallqa.checks import model_outputs
from drywallqa.checks.coarse_pairs import CoarsePair, coarse_iou, mean_or_zero
from drywallqa.checks.findings import FaultFinding, finding_of
from drywallqa.checks.label_shifts import check_labels
from drywallqa.checks.mask_values import check_mask_files
from drywallqa.datasets import dataset as datasets
from drywallqa.datasets.dataset import Dataset
from drywallqa.diagnosis import bundle_checks, counterfactuals, split_checks
from drywallqa.diagnosis.probe import ModelProbe, ProbeSample, choose_samples, read_probe_photos
from drywallqa.diagnosis.verdict import Diagnosis
from drywallqa.errors import BundleError, ConfigError, MissingExtraError
from drywallqa.evaluation.measured_model import MeasuredModel, measured_bundle
from drywallqa.imaging.letterbox import logit
from drywallqa.text.text_side import UNDERSTANDING, TextSide

PHOTOS = 40
"""Photos looked at in each part."""
VARIED = 8
"""Photos that are put to the model in other ways, too."""
PROVED = 0.96
"""Weight from which a cause is proved, so that photos are not tried in other ways."""


@dataclass(frozen=True, eq=False)
class DiagnosedModel:
    """A model that is diagnosed, as far as it could be opened.

    Attributes:
        subject: Ready to run; None where it cannot be.
        bundle: The bundle that it is.
        trained: A run's weights without averaging.
        young: Whether it has hardly been trained, so that its answers say nothing.
        judge_levels: Whether its thresholds were chosen by anybody.
    """

    subject: MeasuredModel | None
    bundle: Bundle | None = None
    trained: MeasuredModel | None = None
    young: bool = False
    judge_levels: bool = True


def run_diagnosis(
    model: Path | None, data: Path, photos: int = PHOTOS, family: str | None = None
) -> Diagnosis:
    """Diagnose a run, a bundle or a file of weights on a data set.

    Args:
        model: The run's or bundle's folder, or a file of weights; the bundled model where None.
        data: The data set's folder.
        photos: How many photos of each part are looked at.
        family: Of a file of weights, in the registry; recognised by keys and shapes where None.

    Raises:
        DataError: The data set is none.
        BundleError: The model is neither, or not to be opened at all.
        ModelError: A checkpoint or file of weights cannot be read.
    """
    known = datasets.load_dataset(data)
    found = Diagnosis(str(model or "the bundled model"), str(data))
    accused = _open(model, found, family)
    found.findings += split_checks.check_parts(known)
    exhibits = read_probe_photos(known, choose_samples(known, photos))
    for exhibit in exhibits.photos:
        part = exhibit.sample.split or "none"
        found.photos[part] = found.photos.get(part, 0) + 1
    found.findings += split_checks.check_broken(exhibits.broken, len(exhibits.photos))
    found.findings += check_mask_files(exhibits.mask_files)
    hashes = accused.subject.training_hashes if accused.subject else ()
    found.findings += split_checks.check_pictures(known, exhibits.photos, hashes)
    _look(accused, known, exhibits, found)
    return found


def _open(model: Path | None, found: Diagnosis, family: str | None) -> DiagnosedModel:
    if model is None or (model / HEAD).is_file():
        return _open_bundle(model, found)
    if (model / "config.yaml").is_file():
        return _open_run(model, found)
    if model.is_file():
        return _open_weights(model, found, family)
    raise BundleError(
        f"{model}: neither a bundle ({HEAD} is missing), nor a run (config.yaml is missing), nor a file"
    )


def _open_bundle(model: Path | None, found: Diagnosis) -> DiagnosedModel:
    bundle, damaged = bundle_checks.check_bundle_files(load_bundle(model))
    found.findings += damaged
    found.findings += bundle_checks.check_bundle_head(bundle)
    weights = None
    try:
        weights = bundle_checks.read_bundle_weights(bundle)
        subject = measured_bundle(bundle)
    except Exception as error:  # a damaged graph meets the runtime with any exception
        found.findings.append(finding_of("bundle-damaged", f"it cannot be opened: {error}", 0.994))
        return DiagnosedModel(None, None)
    claimed = [float(figures.get("iou") or 0) for figures in dict(bundle.metrics.get("val", {})).values()]
    young = bool(claimed) and max(claimed) < model_outputs.USABLE
    if weights is None:
        found.notes.append("weights and graphs could not be compared: torch is not installed")
    else:
        from drywallqa.checks.weight_values import check_weights

        found.findings += check_weights(weights, trained=not young)
    return DiagnosedModel(subject, bundle, None, young)


def _open_run(model: Path, found: Diagnosis) -> DiagnosedModel:
    try:
        from drywallqa.training.finished_run import open_finished
    except ModuleNotFoundError as error:
        raise MissingExtraError("diagnosing a run", "train") from error
    run = open_finished(model)
    found.findings += run.findings
    found.notes += run.notes
    return DiagnosedModel(run.subject, None, run.trained, run.young, judge_levels=False)


def _open_weights(model: Path, found: Diagnosis, named: str | None) -> DiagnosedModel:
    """Open a file of weights; what runs is only the project's own family without a text tower."""
    try:
        from drywallqa.checks.weight_values import check_weights
        from drywallqa.diagnosis import recognised_weights
    except ModuleNotFoundError as error:
        raise MissingExtraError("diagnosing a file of weights", "train") from error
    state = recognised_weights.read_foreign_weights(model)
    family = recognised_weights.recognise_family(state, named)
    found.notes.append(f"the file holds {family.sentence()}")
    found.findings += [*recognised_weights.check_family(family, state), *check_weights(state)]
    subject = recognised_weights.open_weights(model, family, state)
    if subject is None:
        found.notes.append(
            "its answers were not looked at: this program cannot run that family from weights alone"
        )
    return DiagnosedModel(subject, judge_levels=False)


def _look(accused: DiagnosedModel, known: Dataset, exhibits: ProbeSample, found: Diagnosis) -> None:
    """Ask the model, and the bundled one as a second witness, and judge labels and model by both."""
    if not exhibits.photos:
        raise ConfigError(f"{known.folder}: no photo in train, val or test; run: drywallqa data split")
    reference = _reference()
    subject = accused.subject
    labelled = list(dict.fromkeys(c for e in exhibits.photos for c in e.sample.labels))
    if accused.bundle is not None:
        text = accused.bundle.text.understand
        own = {c: s.phrasings for c, s in accused.bundle.concepts.items()}
        found.findings += bundle_checks.check_text_side(accused.bundle, own, "the bundle's phrasings", text)
    found.findings += bundle_checks.check_text_side(
        reference[1], known.concepts, "the data set's phrasings", reference[1].text.understand
    )
    other, second = _ask(reference[0], labelled, exhibits)
    mine: list[CoarsePair] = []
    if subject is not None:
        same = accused.bundle is not None and _same_model(accused.bundle, reference[1])
        witness, mine = _ask(subject, labelled, exhibits, other if same else None)
        judged = _judge_labels(second or mine, found)
        _judge_model(
            accused, witness, exhibits, mine, second, found,
            labels_hold=not judged, second_text=None if same else reference[1].text,
        )  # fmt: skip
    elif second:
        _judge_labels(second, found)
    for concept, members in model_outputs.by_concept(mine or second).items():
        shown = [s for s in members if s.truth.any()]
        found.facts[concept] = model_outputs.output_facts(members)
        levels = [round(0.1 * step, 1) for step in range(1, 10)]
        found.sweep[concept] = [
            (
                level,
                round(mean_or_zero(coarse_iou(s.logits > logit(level), s.truth) for s in shown), 4),
            )
            for level in levels
        ]


def _reference() -> tuple[MeasuredModel, Bundle]:
    bundle = load_bundle(DEFAULT)
    return measured_bundle(bundle, "the bundled model"), bundle


def _same_model(one: Bundle, other: Bundle) -> bool:
    """Say whether two bundles answer alike, whatever their thresholds."""
    files = (IMAGE_ENCODER, DECODER, UNDERSTANDING, "text_encoder.onnx")
    return one.window == other.window and all(
        f in one.files and one.files[f] == other.files.get(f) for f in files
    )


def _ask(
    subject: MeasuredModel, labelled: Sequence[str], exhibits: ProbeSample, like: ModelProbe | None = None
) -> tuple[ModelProbe | None, list[CoarsePair]]:
    """Show all photos to a model; what a witness of the same model has answered is not asked again."""
    shared = [concept for concept in labelled if concept in subject.thresholds]
    if not shared:
        return None, []
    witness = ModelProbe(subject, {concept: concept for concept in shared}, like)
    return witness, [seen for exhibit in exhibits.photos for seen in witness.look(exhibit)]


def _judge_labels(seen: Sequence[CoarsePair], found: Diagnosis) -> list[FaultFinding]:
    labels = check_labels(seen)
    found.findings += labels
    return labels


def _judge_model(
    accused: DiagnosedModel,
    witness: ModelProbe | None,
    exhibits: ProbeSample,
    mine: Sequence[CoarsePair],
    second: Sequence[CoarsePair],
    found: Diagnosis,
    *,
    labels_hold: bool,
    second_text: TextSide | None = None,
) -> None:
    """Judge the model's answers; against the truth only where the labels hold."""
    if witness is None or accused.subject is None:
        found.notes.append("the model knows none of the data set's concepts, so its answers were not judged")
        return
    broken = [
        s for s in model_outputs.check_range(mine) if not accused.young or s.name == "weights-not-finite"
    ]
    found.findings += broken
    if any(s.name == "weights-not-finite" for s in broken):
        return
    if accused.bundle is not None:
        weights = bundle_checks.read_bundle_weights(accused.bundle)
        if weights is not None:
            some, backend = exhibits.photos[:3], accused.subject.backend
            found.findings += bundle_checks.check_graph(accused.bundle, weights, some, backend)
    picked = counterfactuals.pick_photos(exhibits.photos, VARIED)
    if labels_hold and accused.trained is not None:
        found.findings += counterfactuals.check_average(witness, accused.trained, picked)
    if not labels_hold or accused.young:
        return
    found.findings += model_outputs.check_exchange(mine) + model_outputs.check_sign(mine)
    if not broken and not any(s.weight >= PROVED for s in found.findings):
        as_is = [seen for exhibit in picked for seen in witness.look(exhibit)]
        found.findings += model_outputs.check_inputs(as_is, counterfactuals.run_variants(witness, picked))
        if second_text is not None:
            # prompts that mean nothing are answered by what stands out, often rightly: it takes more photos
            more = counterfactuals.pick_photos(exhibits.photos, 3 * VARIED)
            as_is = [seen for exhibit in more for seen in witness.look(exhibit)]
            found.findings += model_outputs.check_inputs(
                as_is, counterfactuals.under_other_text(witness, more, second_text)
            )
    _judge_figures(accused, witness, exhibits, mine, second, found)


def _judge_figures(
    accused: DiagnosedModel,
    witness: ModelProbe,
    exhibits: ProbeSample,
    mine: Sequence[CoarsePair],
    second: Sequence[CoarsePair],
    found: Diagnosis,
) -> None:
    """Judge thresholds and claims."""
    if accused.judge_levels:
        val, test = ([s for s in mine if s.part == part] for part in ("val", "test"))
        found.findings += model_outputs.check_levels(val or test or mine, test if val else ())
        if accused.bundle is not None:
            found.findings += counterfactuals.check_tuned(accused.bundle, witness, exhibits.photos)
    found.findings += counterfactuals.check_claims(accused.bundle, mine, second)
