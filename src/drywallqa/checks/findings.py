"""Findings and the result of a diagnosis. A finding is a fault with its evidence and its rank."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from drywallqa.checks.data_faults import DATA_FAULTS
from drywallqa.checks.model_faults import MODEL_FAULTS
from drywallqa.checks.training_faults import TRAINING_FAULTS, Fault

FAULTS = {fault.name: fault for fault in (*TRAINING_FAULTS, *MODEL_FAULTS, *DATA_FAULTS)}


@dataclass(frozen=True)
class FaultFinding:
    """A fault that was found, with its evidence.

    Attributes:
        fault: The fault.
        evidence: A description of the evidence.
        weight: Rank from 0 (a hint) to 1 (a proven cause). Causes rank above their consequences.
    """

    fault: Fault
    evidence: str
    weight: float = 1.0

    @property
    def name(self) -> str:
        """The fault's name."""
        return self.fault.name

    def sentence(self) -> str:
        """Return the evidence, the cause, the remedy and the command in one line."""
        fault = self.fault
        return (
            f"{fault.name}: {self.evidence}. Cause: {fault.cause}. Remedy: {fault.remedy}. "
            f"Try: {fault.command}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the finding as JSON data."""
        return {
            "name": self.name,
            "symptom": self.fault.symptom,
            "evidence": self.evidence,
            "cause": self.fault.cause,
            "remedy": self.fault.remedy,
            "command": self.fault.command,
            "weight": round(self.weight, 3),
        }


def finding_of(name: str, evidence: str, weight: float = 1.0) -> FaultFinding:
    """Create a finding of a fault in `FAULTS`. The weight is clipped to 0–1."""
    return FaultFinding(FAULTS[name], evidence, min(max(weight, 0.0), 1.0))


def rank_findings(findings: Iterable[FaultFinding]) -> list[FaultFinding]:
    """Sort findings by descending weight. Keep only the highest-weighted finding of each fault."""
    best: dict[str, FaultFinding] = {}
    for finding in sorted(findings, key=lambda each: -each.weight):
        best.setdefault(finding.name, finding)
    return list(best.values())


def name_some(names: Iterable[str], most: int = 4) -> str:
    """List the first few names and count the rest: "a, b and 3 more"."""
    known = list(names)
    rest = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + rest


@dataclass
class Diagnosis:
    """The result of a diagnosis.

    Attributes:
        model: A description of the model.
        data: The data set's folder.
        photos: Number of photos in each split.
        facts: Statistics of each concept, as concept → name of the statistic → value.
        sweep: Mean IoU at the thresholds 0.1 to 0.9, as concept → (threshold, mean IoU).
        findings: The likely faults, each once, with the most likely fault first.
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
        """Return the diagnosis as JSON data."""
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
