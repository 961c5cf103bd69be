"""Count the wide findings of a place, for rules by which several of them belong to a higher class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from drywallqa.inspection.ledger import Finding, Visit
from drywallqa.inspection.measure_text import System, limit_text
from drywallqa.inspection.rules import Rule


@dataclass(frozen=True)
class WideFindings:
    """Number of findings at a place that are over the size of `Several.over`.

    Attributes:
        least: Findings that are surely over it, on the photo that shows most of them. Photos are not added
            up, because several photos may show the same finding.
        most: Findings that may be over it, on all photos.
    """

    least: int = 0
    most: int = 0

    @property
    def text(self) -> str:
        """The number, such as "3" or "1 to 4"."""
        return f"{self.most}" if self.least == self.most else f"{self.least} to {self.most}"


def count_wide(findings: Iterable[Finding], place: str, visit: Visit, rule: Rule) -> WideFindings:
    """Count the open findings at a place whose 95 % interval is over, or reaches over, the size of a rule."""
    if rule.several is None:
        return WideFindings()
    clear = {photo.path for photo in visit.photos if not photo.quality}
    on_photo: Counter[str] = Counter()
    most = 0
    for finding in findings:
        if (finding.place, finding.concept, finding.state) != (place, rule.concept, "open"):
            continue
        measures = {
            seen.photo: getattr(seen.mm if rule.unit == "mm" else seen.px, str(rule.quantity))
            for seen in finding.observations
            if seen.visit == visit.number
            and seen.line_visible
            and (seen.mm if rule.unit == "mm" else seen.px)
        }
        over = [photo for photo, measure in measures.items() if measure.low > rule.several.over]
        on_photo.update(photo for photo in over if photo in clear)
        most += any(measure.high > rule.several.over for measure in measures.values())
    return WideFindings(max(on_photo.values(), default=0), most)


def several_text(rule: Rule, units: System = "metric") -> str:
    """Return what a rule says about several findings; "" if their number does not matter."""
    if rule.several is None:
        return ""
    size = limit_text(rule.several.over, rule.unit, units)
    return f"{rule.several.count} or more over {size} at one place: {rule.grades[rule.several.grade].name}"
