import json
from pathlib import Path

from drywallqa.exporting.export_run import training_cost


def test_training_cost__told_by_the_run(tmp_path: Path) -> None:
    assert training_cost(tmp_path, 32) == {}
    events = [
        {"time": "2026-11-26T20:50:00+0000", "event": "start", "text": ""},
        {"time": "2026-11-26T20:51:00+0000", "event": "step", "text": "", "step": 10},
        {"time": "2026-11-26T20:52:30+0000", "event": "step", "text": "", "step": 20},
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    assert training_cost(tmp_path, 32) == {"pictures": 640, "seconds": 150}
    (tmp_path / "environment.json").write_text('{"processors": 16, "accelerators": 1, "seed": 0}')
    assert training_cost(tmp_path, 32)["accelerators"] == 1
