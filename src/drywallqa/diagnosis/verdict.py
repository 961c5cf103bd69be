"""All that a diagnosis found, and its verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from drywallqa.checks.findings import FaultFinding

FOUND = 0.5
"""Weight from which a suspect is accused."""


@dataclass
class Diagnosis:
    """All that was found.

    Attributes:
        model: What was diagnosed, in words.
        data: The data set's folder.
        photos: Photos looked at, by part.
        facts: Figures by concept.
        sweep: Concept → (threshold, mean IoU) at 0.1 to 0.9.
        findings: What is accused, the surest first.
        notes: What a reader should know.
    """

    model: str
    data: str
    photos: dict[str, int] = field(default_factory=dict)
    facts: dict[str, dict[str, float]] = field(default_factory=dict)
    sweep: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    findings: list[FaultFinding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def verdict(self) -> list[FaultFinding]:
        """Return what is accused, the surest first, each case once."""
        best: dict[str, FaultFinding] = {}
        for each in sorted(self.findings, key=lambda s: -s.weight):
            if each.weight >= FOUND:
                best.setdefault(each.name, each)
        return list(best.values())

    def to_json(self) -> dict[str, Any]:
        """Describe the diagnosis as plain data."""
        return {
            "model": self.model,
            "data": self.data,
            "photos": self.photos,
            "facts": {
                concept: {name: value if math.isfinite(value) else None for name, value in figures.items()}
                for concept, figures in self.facts.items()
            },
            "threshold_sweep": self.sweep,
            "findings": [each.to_json() for each in self.verdict()],
            "notes": self.notes,
        }
