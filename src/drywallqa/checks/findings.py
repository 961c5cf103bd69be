"""A fault that was found, with its evidence and its rank."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from drywallqa.checks.data_faults import DATA_FAULTS
from drywallqa.checks.model_faults import MODEL_FAULTS
from drywallqa.checks.training_faults import TRAINING_FAULTS, Fault

FAULTS = {fault.name: fault for fault in (*TRAINING_FAULTS, *MODEL_FAULTS, *DATA_FAULTS)}


@dataclass(frozen=True)
class FaultFinding:
    """A fault that applies, with its evidence.

    Attributes:
        fault: The fault.
        evidence: Why it is believed, in words.
        weight: Its rank, from 0 (a hint) to 1 (proved and sufficient); causes rank above their consequences.
    """

    fault: Fault
    evidence: str
    weight: float = 1.0

    @property
    def name(self) -> str:
        """The fault's name."""
        return self.fault.name

    def sentence(self) -> str:
        """Tell evidence, cause, remedy and command in one line."""
        fault = self.fault
        told = f"{fault.name}: {self.evidence}. Cause: {fault.cause}. Remedy: {fault.remedy}."
        return f"{told} Try: {fault.command}"

    def to_json(self) -> dict[str, Any]:
        """Describe the finding as plain data."""
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
    """Make a finding of a known fault; its weight is kept within 0 and 1."""
    return FaultFinding(FAULTS[name], evidence, min(max(weight, 0.0), 1.0))


def rank_findings(findings: Iterable[FaultFinding]) -> list[FaultFinding]:
    """Sort findings, the surest first; of each fault only its surest finding is kept."""
    best: dict[str, FaultFinding] = {}
    for finding in sorted(findings, key=lambda each: -each.weight):
        best.setdefault(finding.name, finding)
    return list(best.values())


def name_some(names: Iterable[str], most: int = 4) -> str:
    """Name the first few and count the rest: "a, b and 3 more"."""
    known = list(names)
    rest = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + rest
