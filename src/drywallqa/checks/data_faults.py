"""Faults of a labelled data set, as data."""

from __future__ import annotations

from drywallqa.checks.training_faults import Fault

_AUDIT = "drywallqa data audit DIR --sheet audit.png"
_IMPORT = "drywallqa data import EXPORT --out DIR --replace --concept CLASS=CONCEPT"
_SPLIT = "drywallqa data split DIR --ratios 70/15/15 --seed 0"

DATA_FAULTS = (
    Fault(
        "labels-shifted",
        "masks lie beside the objects that they mark",
        "truth masks are shifted against their photos",
        "import the data set again; check the steps before for cropping, padding or a wrong offset",
        _IMPORT,
    ),
    Fault(
        "labels-turned",
        "masks fit their photos only once they are mirrored or turned",
        "truth masks are flipped or rotated against their photos (EXIF orientation, rows and columns "
        "exchanged)",
        "import the data set again, from an export that turns photo and label alike",
        _IMPORT,
    ),
    Fault(
        "labels-scaled",
        "masks have another size than the objects that they mark",
        "truth masks are scaled against their photos: annotated at another resolution",
        "import the data set again, with annotations in the photos' own pixels",
        _IMPORT,
    ),
    Fault(
        "labels-exchanged",
        "under one concept's prompt the model is scored on the other",
        "labels are swapped: one concept's masks stand under another concept (or prompt)",
        "map the export's classes to concepts again and import it anew",
        _IMPORT,
    ),
    Fault(
        "labels-inverted",
        "IoU is near zero though masks look right; nearly everything counts as missed",
        "truth masks are inverted: foreground is dark where it should be bright",
        "invert these masks, and import the data set again",
        _IMPORT,
    ),
    Fault(
        "labels-of-other-photos",
        "the model's masks look right, but agree with the truth only by chance",
        "labels are corrupted: masks belong to other photos (shuffled) or mark random places",
        "pair photos and masks by name again, and import the data set anew",
        _IMPORT,
    ),
    Fault(
        "labels-missing",
        "the model is charged with false alarms where it is right",
        "labels are missing: photos that show a concept are labelled as if they did not (empty masks)",
        "label these photos, or take the concept out of their labels so that it counts as unknown",
        _AUDIT,
    ),
    Fault(
        "labels-partial",
        "the model is charged with false marks beside true ones",
        "labels are incomplete: only part of what a photo shows is marked",
        "complete the labels of these photos",
        _AUDIT,
    ),
    Fault(
        "labels-wide",
        "masks of the model are narrower than the truth everywhere",
        "truth masks are too wide: dilated, or drawn far around what they mark",
        "draw labels closer, or import from the annotations without widening",
        _IMPORT,
    ),
    Fault(
        "labels-narrow",
        "masks of the model are wider than the truth everywhere",
        "truth masks are too narrow: eroded, thinned or shrunk",
        "import from the annotations without thinning",
        _IMPORT,
    ),
    Fault(
        "labels-noisy",
        "scores stay low however good a mask looks",
        "labels are corrupted by noise: truth masks are full of stray pixels and holes",
        "import from the annotations, or clean the masks; keep them in PNG, never in JPEG",
        _IMPORT,
    ),
    Fault(
        "labels-repeated",
        "the same mask stands beside different photos",
        "labels are corrupted: one mask file was copied to photos that show something else",
        "pair photos and masks by name again, and import the data set anew",
        _IMPORT,
    ),
    Fault(
        "labels-boxes",
        "masks of the model are thin where the truth is a rectangle",
        "boxes stand where outlines are expected: truth masks are filled to their bounding boxes",
        "export polygons or masks instead of boxes, and import the data set again",
        _IMPORT,
    ),
    Fault(
        "photos-broken",
        "photos are skipped, or the run stops at one",
        "photos or masks cannot be read: missing, truncated or damaged files",
        "get these files again, and import the data set anew",
        _IMPORT,
    ),
    Fault(
        "masks-size",
        "photos are skipped, or masks lie beside the objects that they mark",
        "masks are of another size than their photos",
        "import the data set again, which brings annotations to the photos' own pixels",
        _IMPORT,
    ),
    Fault(
        "photos-repeated",
        "the model memorises a few photos",
        "photos are repeated: duplicates under other names, which weigh more than others",
        "drop the duplicates, or name them after one photograph so that they count as its copies",
        _AUDIT,
    ),
    Fault(
        "parts-resolution",
        "validation is much worse than training, or the reverse",
        "the parts of the split differ in resolution: photos of one are far smaller than another's",
        "bring all photos at their own size, and split anew",
        _SPLIT,
    ),
    Fault(
        "trained-on-test",
        "measured figures are far better than those of new photos",
        "test leak: measured photos show photographs that the model was trained on",
        "split by photograph, train again, and measure on photos that were never trained on",
        _SPLIT,
    ),
    Fault(
        "split-empty",
        "nothing can be validated or measured",
        "a part of the split is empty",
        "split the data set",
        _SPLIT,
    ),
)
