"""The text side of a bundle: that of the run, or another one that was trained in the same text space."""

from __future__ import annotations

from pathlib import Path

from drywallqa.bundle.bundle import Bundle, save_head
from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import ConfigError
from drywallqa.text.text_side import SPACE, TextSide


def load_text_side(own: Path, other: Path | None, dataset: Dataset) -> TextSide:
    """Load the text side of a run or bundle, or another one in its place.

    Another one gets the concepts of the own, and reads them by the shipped phrases and the data set's. The
    own one given as the other so gets what prompts mean fitted anew: to phrases that came later.

    Args:
        own: The folder of the own text side.
        other: The folder of another, or None.
        dataset: Whose phrasings count, of those concepts that the own text side knows.

    Raises:
        ConfigError: The other was trained in another text space, which the decoder cannot read.
        BundleError: One is missing or damaged.
    """
    text = TextSide.load(own)
    if other is None:
        return text
    if _space(own) != _space(other):
        raise ConfigError(
            f"--text {other}: trained in another text space than {own}, so that the decoder would misread "
            f"every prompt; train it with 'drywallqa train-text --space {own / SPACE}'"
        )
    phrasings = {name: dataset.concepts.get(name, ()) for name in text.concepts}
    return TextSide.load(other).with_concepts(phrasings)


def replace_text(bundle: Bundle, text: TextSide) -> Bundle:
    """Put a text side that `text_side` found fit into a bundle's folder."""
    text.save(bundle.folder)
    return save_head(bundle)


def _space(folder: Path) -> bytes | None:
    path = folder / SPACE
    return path.read_bytes() if path.is_file() else None
