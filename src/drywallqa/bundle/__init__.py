"""A trained model on disk, its runtimes and its text side."""

from drywallqa.bundle.bundle import Bundle, ConceptSettings, load_bundle

__all__ = ["Bundle", "ConceptSettings", "load_bundle"]
