"""The outcome of a diagnosis."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from drywallqa.checks.findings import FaultFinding


@dataclass
class Diagnosis:
    """All that was found.

    Attributes:
        model: The model in words.
        data: The data set's folder.
        photos: Photos looked at, by part.
        facts: Figures by concept.
        sweep: Concept → (threshold, mean IoU) at 0.1 to 0.9.
        findings: The verdict: the likely faults, the surest first, each once.
        notes: Remarks for the reader.
    """

    model: str
    data: str
    photos: dict[str, int] = field(default_factory=dict)
    facts: dict[str, dict[str, float]] = field(default_factory=dict)
    sweep: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    findings: list[FaultFinding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

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
            "findings": [each.to_json() for each in self.findings],
            "notes": self.notes,
        }
