"""What changed between two visits: new, grown, unchanged, repaired and not comparable findings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from drywallqa.inspection.finding_overlap import (
    LinePath,
    distances,
    inside_photo,
    mapped_path,
    overlap_length,
    path_of,
    tolerance_px,
)
from drywallqa.inspection.growth import Difference, length_difference, width_difference
from drywallqa.inspection.ledger import Finding, Ledger, Observation, PhotoRecord
from drywallqa.inspection.scale import Scale
from drywallqa.inspection.visits import PhotoPair

Change = Literal["new", "grown", "unchanged", "repaired", "not comparable"]
Look = Callable[[str, LinePath, float], NDArray[np.bool_]]
"""Look again in a photo: path of the photo, a line and a tolerance in px → where the photo shows the line."""

_LEAST_INSIDE = 0.5  # share of a line that the other photo must contain
_STILL_THERE = 0.5  # share of a line that is visible on the second look


@dataclass(frozen=True)
class FindingChange:
    """The change of one finding between two visits.

    Attributes:
        number: Number of the finding.
        place: Id of the place.
        concept: "crack", "taping area", …
        change: What happened.
        reason: A sentence with the numbers that decided.
        before: Path of the earlier photo; "" if there is none.
        after: Path of the later photo; "" if there is none.
        width: Difference of the mean widths on the common part; None if they cannot be compared.
        length: Gained length; None if it cannot be compared.
        pieces: Number of pieces in the later photo.
        merged: Numbers of the findings that became a part of this one.
    """

    number: int
    place: str
    concept: str
    change: Change
    reason: str
    before: str = ""
    after: str = ""
    width: Difference | None = None
    length: Difference | None = None
    pieces: int = 0
    merged: tuple[int, ...] = ()


@dataclass(frozen=True)
class VisitPair:
    """Two visits in one ledger.

    Attributes:
        ledger: The ledger with both visits.
        before: Number of the earlier visit.
        after: Number of the later visit.
        photos: Aligned photos; the first of each pair is of the earlier visit.
        look_before: Looks again in a photo of the earlier visit.
        look_after: Looks again in a photo of the later visit.
    """

    ledger: Ledger
    before: int
    after: int
    photos: Sequence[PhotoPair]
    look_before: Look
    look_after: Look


def find_changes(visits: VisitPair) -> list[FindingChange]:
    """Return the change of every finding that one of two visits shows, sorted by number."""
    changes = []
    for finding in visits.ledger.findings:
        parts = (finding, *(one for one in visits.ledger.findings if one.into == (finding.number,)))
        before = _by_photo(parts, visits.before)
        after = _by_photo((finding,), visits.after)
        if finding.state not in ("merged", "split", "deleted") and (before or after):
            blank = FindingChange(finding.number, finding.place, finding.concept, "not comparable", "")
            blank = replace(blank, merged=tuple(one.number for one in parts[1:]))
            if before and after:
                changes.append(_compare(visits, before, after, blank))
            else:
                changes.append(_search(visits, before or after, bool(before), blank))
    return changes


def with_states(ledger: Ledger, changes: Sequence[FindingChange]) -> Ledger:
    """Return a ledger in which the repaired findings have that state."""
    repaired = {one.number for one in changes if one.change == "repaired"}
    findings = (replace(one, state="repaired") if one.number in repaired else one for one in ledger.findings)
    return replace(ledger, findings=tuple(findings))


Observed = dict[str, tuple[Observation, ...]]  # path of a photo → observations of one finding


def _by_photo(findings: Sequence[Finding], visit: int) -> Observed:
    found: Observed = {}
    for one in (one for finding in findings for one in finding.observations if one.visit == visit):
        found[one.photo] = (*found.get(one.photo, ()), one)
    return found


def _compare(visits: VisitPair, before: Observed, after: Observed, blank: FindingChange) -> FindingChange:
    """Compare a finding that both visits show, on the pair of photos with the longest common part."""
    best: tuple[float, PhotoPair, LinePath, LinePath] | None = None
    for pair in visits.photos:
        if pair.first.path in before and pair.second.path in after:
            path = path_of(before[pair.first.path])
            mapped = mapped_path(path_of(after[pair.second.path]), pair.alignment.inverse())
            common = overlap_length(path, mapped, pair.tolerance)
            if best is None or common > best[0]:
                best = common, pair, path, mapped
    if best is None or best[0] == 0:
        return replace(blank, reason="No pair of photos shows the finding at both visits.")
    _, pair, path, mapped = best
    then, now = before[pair.first.path], after[pair.second.path]
    width = width_difference(then, now, path, mapped, pair.tolerance)
    fresh = _fresh(visits, pair, path, mapped)
    length = length_difference(then, now, path, mapped, fresh, pair.tolerance)
    factor = _mm_per_pixel(pair.first, path)
    if factor is not None:
        width = None if width is None else width.times(factor, "mm")
        length = length.times(factor, "mm")
    grown = length.is_growth or (width is not None and width.is_growth)
    return replace(
        blank,
        change="grown" if grown else "unchanged",
        reason=_sentence(width, length),
        before=pair.first.path,
        after=pair.second.path,
        width=width,
        length=length,
        pieces=len(now),
    )


def _fresh(visits: VisitPair, pair: PhotoPair, path: LinePath, mapped: LinePath) -> NDArray[np.bool_]:
    """Return the points of the later line that the earlier photo could have shown and does not show."""
    apart, _ = distances(mapped.points, path.points)
    fresh = (apart > pair.tolerance) & inside_photo(mapped.points, pair.first, pair.tolerance)
    if pair.first.detection_limit_px is not None:
        fresh &= mapped.widths >= pair.first.detection_limit_px
    if fresh.any():
        part = mapped.only(fresh)
        fresh[fresh] = ~visits.look_before(pair.first.path, part, pair.tolerance)
    return fresh


def _search(visits: VisitPair, observed: Observed, is_before: bool, blank: FindingChange) -> FindingChange:
    """Decide about a finding that only one visit shows, by the photos of the other visit."""
    other = "later" if is_before else "earlier"
    path = next(iter(observed))
    found = replace(
        blank,
        reason=f"No {other} photo shows this place.",
        before=path if is_before else "",
        after="" if is_before else path,
    )
    for pair in visits.photos:
        here, there = (pair.first, pair.second) if is_before else (pair.second, pair.first)
        if here.path not in observed:
            continue
        alignment = pair.alignment if is_before else pair.alignment.inverse()
        mapped = mapped_path(path_of(observed[here.path]), alignment)
        if not len(mapped.points) or inside_photo(mapped.points, there).mean() < _LEAST_INSIDE:
            continue
        found = replace(found, before=pair.first.path, after=pair.second.path)
        if _too_narrow(mapped, there):
            found = replace(found, reason=f"The {other} photo cannot show a line as narrow as this one.")
            continue
        look = visits.look_after if is_before else visits.look_before
        if look(there.path, mapped, tolerance_px(there, pair.alignment.residual)).mean() >= _STILL_THERE:
            reason = f"The {other} photo shows a line here that the model did not mark."
            return replace(found, reason=reason)
        reason = f"The {other} photo shows no line here."
        return replace(found, change="repaired" if is_before else "new", reason=reason)
    return found


def _too_narrow(path: LinePath, photo: PhotoRecord) -> bool:
    """Return whether a photo cannot be expected to show a line of this width."""
    known = path.widths[np.isfinite(path.widths)]
    limit = photo.detection_limit_px
    return limit is not None and len(known) > 0 and float(np.median(known)) < limit


def _mm_per_pixel(photo: PhotoRecord, path: LinePath) -> float | None:
    """Return the size in mm of a pixel of a photo along a path, or None without a scale."""
    if photo.scale is None:
        return None
    matrix = None if photo.scale.homography is None else np.array(photo.scale.homography)
    scale = Scale(photo.scale.mm_per_pixel, photo.scale.relative_sigma, photo.scale.source, matrix)
    return float(scale.mm_per_pixel_at(path.points).mean())


def _sentence(width: Difference | None, length: Difference) -> str:
    parts = []
    if width is None:
        parts.append("The widths cannot be compared")
    else:
        parts.append(
            f"Mean width {width.before:.2f} → {width.after:.2f} {width.unit} "
            f"(change {width.value:+.2f}, 95 % interval {width.low:+.2f} to {width.high:+.2f})"
        )
    parts.append(f"gained length {length.value:.0f} ± {length.high - length.value:.0f} {length.unit}")
    return ", ".join(parts) + "."
