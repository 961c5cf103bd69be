"""What `drywallqa diagnose` does: open the model, look at photos, try every cause, rank what holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from drywallqa.bundle.bundle import DECODER, DEFAULT, HEAD, IMAGE_ENCODER, Bundle, load_bundle
from drywallqa.bundle.text import UNDERSTANDING, TextSide
from drywallqa.datasets import dataset as datasets
from drywallqa.datasets.dataset import Dataset
from drywallqa.diagnosis import answers
from drywallqa.diagnosis.finished import Suspect, suspect
from drywallqa.diagnosis.labels import check_labels
from drywallqa.diagnosis.mask_files import check_mask_files
from drywallqa.diagnosis.seen import Seen, iou, logit, mean
from drywallqa.errors import BundleError, ConfigError, MissingExtraError
from drywallqa.evaluation.subject import Subject, open_bundle
from drywallqa.evidence import bundle_checks, split_checks, variants
from drywallqa.evidence.witness import Exhibits, Witness, choose_samples, read_exhibits
from drywallqa.reports.diagnosis import Diagnosis

PHOTOS = 40
"""Photos looked at in each part."""
VARIED = 8
"""Photos that are put to the model in other ways, too."""
PROVED = 0.96
"""Weight from which a cause is proved, so that photos are not tried in other ways."""


@dataclass(frozen=True, eq=False)
class Accused:
    """A model that is diagnosed, as far as it could be opened.

    Attributes:
        subject: Ready to run; None where it cannot be.
        bundle: The bundle that it is.
        trained: A run's weights without averaging.
        young: Whether it has hardly been trained, so that its answers say nothing.
        judge_levels: Whether its thresholds were chosen by anybody.
    """

    subject: Subject | None
    bundle: Bundle | None = None
    trained: Subject | None = None
    young: bool = False
    judge_levels: bool = True


def diagnose_job(
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
    known = datasets.load(data)
    found = Diagnosis(str(model or "the bundled model"), str(data))
    accused = _open(model, found, family)
    found.suspects += split_checks.check_parts(known)
    exhibits = read_exhibits(known, choose_samples(known, photos))
    for exhibit in exhibits.photos:
        part = exhibit.sample.split or "none"
        found.photos[part] = found.photos.get(part, 0) + 1
    found.suspects += split_checks.check_broken(exhibits.broken, len(exhibits.photos))
    found.suspects += check_mask_files(exhibits.mask_files)
    hashes = accused.subject.training_hashes if accused.subject else ()
    found.suspects += split_checks.check_pictures(known, exhibits.photos, hashes)
    _look(accused, known, exhibits, found)
    return found


def _open(model: Path | None, found: Diagnosis, family: str | None) -> Accused:
    if model is None or (model / HEAD).is_file():
        return _open_bundle(model, found)
    if (model / "config.yaml").is_file():
        return _open_run(model, found)
    if model.is_file():
        return _open_weights(model, found, family)
    raise BundleError(
        f"{model}: neither a bundle ({HEAD} is missing), nor a run (config.yaml is missing), nor a file"
    )


def _open_bundle(model: Path | None, found: Diagnosis) -> Accused:
    bundle, damaged = bundle_checks.check_files(load_bundle(model))
    found.suspects += damaged
    found.suspects += bundle_checks.check_head(bundle)
    weights = None
    try:
        weights = bundle_checks.read_weights(bundle)
        subject = open_bundle(bundle)
    except Exception as error:  # a damaged graph meets the runtime with any exception
        found.suspects.append(suspect("bundle-damaged", f"it cannot be opened: {error}", 0.994))
        return Accused(None, None)
    claimed = [float(figures.get("iou") or 0) for figures in dict(bundle.metrics.get("val", {})).values()]
    young = bool(claimed) and max(claimed) < answers.USABLE
    if weights is None:
        found.notes.append("weights and graphs could not be compared: torch is not installed")
    else:
        from drywallqa.diagnosis.weights import check_weights

        found.suspects += check_weights(weights, trained=not young)
    return Accused(subject, bundle, None, young)


def _open_run(model: Path, found: Diagnosis) -> Accused:
    try:
        from drywallqa.training.finished_run import open_finished
    except ModuleNotFoundError as error:
        raise MissingExtraError("diagnosing a run", "train") from error
    run = open_finished(model)
    found.suspects += run.suspects
    found.notes += run.notes
    return Accused(run.subject, None, run.trained, run.young, judge_levels=False)


def _open_weights(model: Path, found: Diagnosis, named: str | None) -> Accused:
    """Open a file of weights; what runs is only the project's own family without a text tower."""
    try:
        from drywallqa.diagnosis.weights import check_weights
        from drywallqa.evidence import foreign
    except ModuleNotFoundError as error:
        raise MissingExtraError("diagnosing a file of weights", "train") from error
    state = foreign.read_foreign(model)
    family = foreign.recognise(state, named)
    found.notes.append(f"the file holds {family.sentence()}")
    found.suspects += [*foreign.check_family(family, state), *check_weights(state)]
    subject = foreign.open_weights(model, family, state)
    if subject is None:
        found.notes.append(
            "its answers were not looked at: this program cannot run that family from weights alone"
        )
    return Accused(subject, judge_levels=False)


def _look(accused: Accused, known: Dataset, exhibits: Exhibits, found: Diagnosis) -> None:
    """Ask the model, and the bundled one as a second witness, and judge labels and model by both."""
    if not exhibits.photos:
        raise ConfigError(f"{known.folder}: no photo in train, val or test; run: drywallqa data split")
    reference = _reference()
    subject = accused.subject
    labelled = list(dict.fromkeys(c for e in exhibits.photos for c in e.sample.labels))
    if accused.bundle is not None:
        text = accused.bundle.text.understand
        own = {c: s.phrasings for c, s in accused.bundle.concepts.items()}
        found.suspects += bundle_checks.check_text(accused.bundle, own, "the bundle's phrasings", text)
    found.suspects += bundle_checks.check_text(
        reference[1], known.concepts, "the data set's phrasings", reference[1].text.understand
    )
    other, second = _ask(reference[0], labelled, exhibits)
    mine: list[Seen] = []
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
    for concept, members in answers.by_concept(mine or second).items():
        shown = [s for s in members if s.truth.any()]
        found.facts[concept] = answers.facts(members)
        levels = [round(0.1 * step, 1) for step in range(1, 10)]
        found.sweep[concept] = [
            (level, round(mean(iou(s.logits > logit(level), s.truth) for s in shown), 4)) for level in levels
        ]


def _reference() -> tuple[Subject, Bundle]:
    bundle = load_bundle(DEFAULT)
    return open_bundle(bundle, "the bundled model"), bundle


def _same_model(one: Bundle, other: Bundle) -> bool:
    """Say whether two bundles answer alike, whatever their thresholds."""
    files = (IMAGE_ENCODER, DECODER, UNDERSTANDING, "text_encoder.onnx")
    return one.window == other.window and all(
        f in one.files and one.files[f] == other.files.get(f) for f in files
    )


def _ask(
    subject: Subject, labelled: Sequence[str], exhibits: Exhibits, like: Witness | None = None
) -> tuple[Witness | None, list[Seen]]:
    """Show all photos to a model; what a witness of the same model has answered is not asked again."""
    shared = [concept for concept in labelled if concept in subject.levels]
    if not shared:
        return None, []
    witness = Witness(subject, {concept: concept for concept in shared}, like)
    return witness, [seen for exhibit in exhibits.photos for seen in witness.look(exhibit)]


def _judge_labels(seen: Sequence[Seen], found: Diagnosis) -> list[Suspect]:
    labels = check_labels(seen)
    found.suspects += labels
    return labels


def _judge_model(
    accused: Accused,
    witness: Witness | None,
    exhibits: Exhibits,
    mine: Sequence[Seen],
    second: Sequence[Seen],
    found: Diagnosis,
    *,
    labels_hold: bool,
    second_text: TextSide | None = None,
) -> None:
    """Judge the model's answers; against the truth only where the labels hold."""
    if witness is None or accused.subject is None:
        found.notes.append("the model knows none of the data set's concepts, so its answers were not judged")
        return
    broken = [s for s in answers.check_range(mine) if not accused.young or s.name == "weights-not-finite"]
    found.suspects += broken
    if any(s.name == "weights-not-finite" for s in broken):
        return
    if accused.bundle is not None:
        weights = bundle_checks.read_weights(accused.bundle)
        if weights is not None:
            some, backend = exhibits.photos[:3], accused.subject.backend
            found.suspects += bundle_checks.check_graph(accused.bundle, weights, some, backend)
    picked = variants.pick(exhibits.photos, VARIED)
    if labels_hold and accused.trained is not None:
        found.suspects += variants.check_average(witness, accused.trained, picked)
    if not labels_hold or accused.young:
        return
    found.suspects += answers.check_exchange(mine) + answers.check_sign(mine)
    if not broken and not any(s.weight >= PROVED for s in found.suspects):
        as_is = [seen for exhibit in picked for seen in witness.look(exhibit)]
        found.suspects += answers.check_inputs(as_is, variants.run(witness, picked))
        if second_text is not None:
            # prompts that mean nothing are answered by what stands out, often rightly: it takes more photos
            more = variants.pick(exhibits.photos, 3 * VARIED)
            as_is = [seen for exhibit in more for seen in witness.look(exhibit)]
            found.suspects += answers.check_inputs(
                as_is, variants.under_other_text(witness, more, second_text)
            )
    _judge_figures(accused, witness, exhibits, mine, second, found)


def _judge_figures(
    accused: Accused,
    witness: Witness,
    exhibits: Exhibits,
    mine: Sequence[Seen],
    second: Sequence[Seen],
    found: Diagnosis,
) -> None:
    """Judge thresholds and claims."""
    if accused.judge_levels:
        val, test = ([s for s in mine if s.part == part] for part in ("val", "test"))
        found.suspects += answers.check_levels(val or test or mine, test if val else ())
        if accused.bundle is not None:
            found.suspects += variants.check_tuned(accused.bundle, witness, exhibits.photos)
    found.suspects += variants.check_claims(accused.bundle, mine, second)
