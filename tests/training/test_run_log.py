"""A run's log stays readable whatever moment the run was killed at."""

import pytest

pytest.importorskip("lightning", reason="the train extra is not installed")

from drywallqa.training.run_log import LINES, TEXT, RunLog, read_events


def test_read_events__a_line_that_was_cut_off_loses_itself_alone(tmp_path):
    log = RunLog(tmp_path)
    log.write("start", "epoch 0", step=0)
    whole = (tmp_path / LINES).read_bytes()
    log.write("step", "step 1", step=1)
    for length in range(len(whole) + 1, (tmp_path / LINES).stat().st_size - 1):
        (tmp_path / LINES).write_bytes((tmp_path / LINES).read_bytes()[:length])
    assert [event["event"] for event in read_events(tmp_path)] == ["start"]
    log.write("start", "epoch 0, resumed", step=0)
    log.write("step", "a file\u2028name", step=1)
    assert [event["event"] for event in read_events(tmp_path)] == ["start", "start", "step"]
    assert read_events(tmp_path)[-1]["text"] == "a file\u2028name"


def test_log__each_event_starts_on_a_line_of_its_own(tmp_path):
    log = RunLog(tmp_path)
    (tmp_path / TEXT).write_text("2026-01-01 step: cut o")
    log.write("start", "again")
    assert (tmp_path / TEXT).read_text().split("\n")[1].endswith(" start: again")


def test_read_events__no_log(tmp_path):
    assert read_events(tmp_path) == []
