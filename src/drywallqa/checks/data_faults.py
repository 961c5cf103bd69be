"""Descriptions of the faults of a labelled data set."""

from __future__ import annotations

from drywallqa.checks.training_faults import Fault

_AUDIT = "drywallqa data audit DIR --sheet audit.png"
_IMPORT = "drywallqa data import EXPORT --out DIR --replace --concept CLASS=CONCEPT"
_SPLIT = "drywallqa data split DIR --ratios 70/15/15 --seed 0"

DATA_FAULTS = (
    Fault(
        "labels-shifted",
        "masks are next to the objects instead of on them",
        "ground-truth masks are shifted relative to their photos",
        "import the data set again; check whether photos were cropped or padded before",
        _IMPORT,
    ),
    Fault(
        "labels-turned",
        "masks fit their photos only after they are mirrored or rotated",
        "ground-truth masks are mirrored or rotated relative to their photos (EXIF orientation, or rows and "
        "columns exchanged)",
        "import the data set again, from an export that rotates photos and labels in the same way",
        _IMPORT,
    ),
    Fault(
        "labels-scaled",
        "masks are larger or smaller than the objects",
        "ground-truth masks are scaled relative to their photos, which have another resolution",
        "import the data set again, with annotations in the pixels of the photos",
        _IMPORT,
    ),
    Fault(
        "labels-exchanged",
        "with the prompt of one concept, the model is measured on the labels of another concept",
        "labels are swapped: the masks of one concept are stored for another concept",
        "correct the mapping from classes to concepts, and import the data set again",
        _IMPORT,
    ),
    Fault(
        "labels-inverted",
        "the IoU is near zero although masks look right; nearly all pixels count as missed",
        "ground-truth masks are inverted: their foreground is dark instead of bright",
        "invert these masks, and import the data set again",
        _IMPORT,
    ),
    Fault(
        "labels-of-other-photos",
        "the model's masks look right, but agree with the labels only by chance",
        "labels are corrupted: masks belong to other photos or mark random places",
        "match photos and masks by name, and import the data set again",
        _IMPORT,
    ),
    Fault(
        "labels-missing",
        "correct masks of the model count as false alarms",
        "labels are missing: photos that show a concept have empty masks",
        "label these photos, or remove the concept from their labels so that it counts as unknown",
        _AUDIT,
    ),
    Fault(
        "labels-partial",
        "some correct pixels of the model's masks count as false",
        "labels are incomplete: only some of the objects in a photo are marked",
        "complete the labels of these photos",
        _AUDIT,
    ),
    Fault(
        "labels-wide",
        "all masks of the model are narrower than the labels",
        "ground-truth masks are too wide: they were dilated or drawn far around the object",
        "draw the labels closer to the object, or import the annotations without widening",
        _IMPORT,
    ),
    Fault(
        "labels-narrow",
        "all masks of the model are wider than the labels",
        "ground-truth masks are too narrow: they were eroded, thinned or shrunk",
        "import the annotations without thinning",
        _IMPORT,
    ),
    Fault(
        "labels-noisy",
        "the metrics stay low even if masks look good",
        "labels are corrupted by noise: ground-truth masks have many stray pixels and holes",
        "import the original annotations, or clean the masks; save masks as PNG, not as JPEG",
        _IMPORT,
    ),
    Fault(
        "labels-repeated",
        "different photos have the same mask",
        "labels are corrupted: one mask file was copied to other photos",
        "match photos and masks by name, and import the data set again",
        _IMPORT,
    ),
    Fault(
        "labels-boxes",
        "masks of the model are thin, but the labels are rectangles",
        "ground-truth masks are filled bounding boxes instead of outlines",
        "export polygons or masks instead of boxes, and import the data set again",
        _IMPORT,
    ),
    Fault(
        "photos-broken",
        "photos are skipped, or the run stops at a photo",
        "files of photos or masks are missing, truncated or damaged",
        "download or copy these files again, and import the data set again",
        _IMPORT,
    ),
    Fault(
        "masks-size",
        "photos are skipped, or masks are next to the objects instead of on them",
        "masks and photos have different sizes",
        "import the data set again; the import converts annotations to the pixels of the photos",
        _IMPORT,
    ),
    Fault(
        "photos-repeated",
        "the model memorises a few photos",
        "there are duplicates of photos under other names, so these photos have too much weight",
        "remove the duplicates, or name them after one source photo so that they count as its copies",
        _AUDIT,
    ),
    Fault(
        "parts-resolution",
        "validation is much worse or much better than training",
        "the splits differ in resolution: the photos of one split are far smaller",
        "use all photos in their original size, and split the data set again",
        _SPLIT,
    ),
    Fault(
        "trained-on-test",
        "metrics are far better on the measured photos than on new photos",
        "test leak: the model was trained on copies of the measured photos",
        "split by source photo, train again, and measure on photos that were not used for training",
        _SPLIT,
    ),
    Fault(
        "split-empty",
        "no photos can be used for validation or measurement",
        "one of the splits is empty",
        "split the data set",
        _SPLIT,
    ),
)
