"""Named ratios that are added up photo by photo and end as figures with intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from drywallqa.intervals import Figure, Terms


class Ratios:
    """Sums of parts and wholes by name and cluster; only sums are held, however many photos are added.

    Args:
        names: Names that come first, in that order; others follow as they are added.

    Example:
        >>> ratios = Ratios()
        >>> ratios.add("marked", "photo 1", True, events=True)
        >>> ratios.add("marked", "photo 2", False, events=True)
        >>> ratios.figures()["marked"].value
        0.5
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._sums: dict[str, dict[str, list[float]]] = {name: {} for name in names}
        self._pairs: Counter[str] = Counter()
        self._events: set[str] = set()

    def add(self, name: str, cluster: str, part: float, whole: float = 1, *, events: bool = False) -> None:
        """Add to a ratio.

        Args:
            name: The ratio's name.
            cluster: What is resampled as one: the photograph.
            part: Added to its numerator.
            whole: Added to its denominator.
            events: Whether the part counts events (see `intervals.Terms`).
        """
        sums = self._sums.setdefault(name, {}).setdefault(cluster, [0.0, 0.0])
        sums[0] += part
        sums[1] += whole
        self._pairs[name] += 1
        if events:
            self._events.add(name)

    def figures(self) -> dict[str, Figure]:
        """Each ratio with its 95 % interval, without those that nothing was added to."""
        return {name: self._terms(name).figure() for name, sums in self._sums.items() if sums}

    def _terms(self, name: str) -> Terms:
        sums = np.array(list(self._sums[name].values()))
        events = name in self._events
        return Terms(sums[:, 0], sums[:, 1], len(sums), self._pairs[name], events)
