"""What a training run took, told by the run itself."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from drywallqa.training.run_folder import ENVIRONMENT
from drywallqa.training.run_log import read_events


def training_cost(run: Path, pictures_a_step: int) -> dict[str, Any]:
    """Say what a run took: `pictures`, `seconds`, and the machine's `processors` and `accelerators`.

    Seconds run from the log's first entry to its last, with checks, validation and pauses. What the run does
    not tell is left out.

    Args:
        run: The run's folder.
        pictures_a_step: Pictures of one step of the optimiser.
    """
    cost: dict[str, Any] = {}
    events = read_events(run)
    steps = [event["step"] for event in events if event.get("event") == "step" and "step" in event]
    if steps:
        first, last = (datetime.fromisoformat(events[place]["time"]) for place in (0, -1))
        cost = {"pictures": max(steps) * pictures_a_step, "seconds": round((last - first).total_seconds())}
    if (run / ENVIRONMENT).is_file():
        machine = json.loads((run / ENVIRONMENT).read_text("utf-8"))
        cost |= {part: machine[part] for part in ("processors", "accelerators") if part in machine}
    return cost
