"""A real Ray: a worker killed, a node killed, a photo that ends its worker, a rerun without inference."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("ray", reason="the fleet extra is not installed")
pytest.importorskip("pyarrow", reason="the fleet extra is not installed")

from pyarrow import parquet

import fakes
from drywallqa import cli
from drywallqa.fleet import Fleet, cluster, segment_fleet
from drywallqa.inference.plan import PhotoOutcome, SegmentSummary
from drywallqa.inference.segmenter import Segmenter
from drywallqa.synthetic.examples import write_examples

pytestmark = pytest.mark.prove

PROMPTS = ["segment crack", "segment taping area"]
PHOTOS = 48
WHITE = np.full((48, 64, 3), 255, np.uint8)


class SlowBackend(fakes.FakeBackend):
    """Slow enough that a run can be met in its middle, and ended by a white photo."""

    def encode_image(self, images: np.ndarray) -> tuple[np.ndarray, ...]:
        time.sleep(0.2)  # seconds of work are left when the first results arrive here
        if float(images[:, :, 28:36, 28:36].min()) > 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode_image(images)


def slow_segmenter() -> Segmenter:
    return Segmenter(fakes.FakeBundle(backend=SlowBackend()))


def no_inference() -> Segmenter:
    segmenter = slow_segmenter()
    segmenter.bundle.backend.encode_image = None  # type: ignore[attr-defined]
    return segmenter


@pytest.fixture(scope="module")
def machines() -> Iterator[Any]:
    """One cluster for all, of nodes on this machine with room for a worker each, reached as any other.

    Its workers lack the tests' folder, so that what they take from it travels whole.
    """
    from ray import cloudpickle
    from ray.cluster_utils import Cluster

    mine = (fakes, sys.modules[__name__])
    for module in mine:
        cloudpickle.register_pickle_by_value(module)
    quick = {"health_check_period_ms": 1000, "health_check_failure_threshold": 5}
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": quick}
    nodes = Cluster(initialize_head=True, head_node_args=head, shutdown_at_exit=False)
    try:
        for _ in range(2):
            nodes.add_node(num_cpus=1)
        with cluster.reached(nodes.address):
            yield nodes
    finally:
        nodes.shutdown()
        for module in mine:
            cloudpickle.unregister_pickle_by_value(module)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    for number in range(PHOTOS):
        photo = fakes.wall(crack=number % 2 == 0, seam=number % 3 == 0, shade=100 + number)
        Image.fromarray(photo).save(folder / f"{number:03d}.png")
    return folder


def rows(out: Path) -> list[dict[str, Any]]:
    return parquet.read_table(out / "results.parquet").to_pylist()


def pictures(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}


def run(site: Path, out: Path, opener: Any = slow_segmenter, **more: Any) -> SegmentSummary:
    return segment_fleet(opener, [site], PROMPTS, out, fleet=Fleet(workers=2, block=4), **more)


def assert_whole(table: list[dict[str, Any]], site: Path, out: Path) -> None:
    """Every photo is there once under each prompt, with the mask that a plain segmenter makes of it."""
    assert Counter(row["mask"] for row in table) == dict.fromkeys(pictures(out), 1)
    assert {row["source"] for row in table} == {str(path) for path in site.iterdir()}
    plain = Segmenter(fakes.FakeBundle())
    for row in table:
        (answer,) = plain.segment(row["source"], row["prompt"])
        assert np.array_equal(np.asarray(Image.open(out / row["mask"])) > 0, answer.mask)


def test_fleet__a_worker_killed_in_the_middle_loses_no_photo_and_writes_none_twice(
    machines: Any, site: Path, tmp_path: Path
) -> None:
    out, times, killed = tmp_path / "out", {}, []

    def kill_once(outcome: PhotoOutcome) -> None:
        for record in outcome.records:
            times[record["mask"]] = (out / record["mask"]).stat().st_mtime_ns
        if len(times) >= PHOTOS // 2 and not killed:
            process = int(outcome.records[0]["worker"].rpartition(":")[2])
            assert process != os.getpid()
            os.kill(process, signal.SIGKILL)
            killed.append(process)

    done = run(site, out, on_outcome=kill_once)
    assert killed
    assert (done.done, done.failed, done.masks) == (PHOTOS, 0, 2 * PHOTOS)
    table = rows(out)
    assert {mask: (out / mask).stat().st_mtime_ns for mask in times} == times
    assert_whole(table, site, out)
    assert len({row["worker"] for row in table}) == 3  # two, and the one that took the dead one's place

    again = run(site, out, no_inference)
    assert (again.skipped, again.done) == (PHOTOS, 0)
    assert rows(out) == table


def test_fleet__a_photo_that_ends_its_worker_is_recorded_and_stops_nobody(
    machines: Any, site: Path, tmp_path: Path
) -> None:
    for path in sorted(site.iterdir())[10:]:
        path.unlink()
    Image.fromarray(WHITE).save(site / "white.png")
    (site / "cut.png").write_bytes((site / "000.png").read_bytes()[:100])
    out, outcomes = tmp_path / "out", []
    done = run(site, out, on_outcome=outcomes.append)
    assert (done.done, done.failed, done.masks) == (10, 2, 20)
    failed = {Path(row["source"]).name: row["error"] for row in rows(out) if row["error"]}
    assert set(failed) == {"cut.png", "white.png"}
    assert "3 workers died while they processed this photo" in failed["white.png"]
    assert len(outcomes) == 12


def test_fleet__the_bundled_model_through_the_command_line(
    machines: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_examples("photos", (320, 320))
    asked = ["photos", "--prompt", PROMPTS[0], "--prompt", PROMPTS[1], "--threads", "1"]
    assert cli.main(["segment", *asked, "--out", "plain", "--no-index"]) == 0
    capsys.readouterr()
    assert cli.main(["segment", *asked, "--out", "out", "--engine", "ray"]) == 0
    assert "results.parquet" in capsys.readouterr().out
    assert pictures(tmp_path / "plain") == pictures(tmp_path / "out") != {}


def test_fleet__a_killed_node_costs_only_what_it_was_at(machines: Any, site: Path, tmp_path: Path) -> None:
    lost = list(machines.worker_nodes)[-1]  # two workers on two nodes: each has one
    out, killed = tmp_path / "out", []

    def kill_once(outcome: PhotoOutcome) -> None:
        if len(pictures(out)) >= PHOTOS // 2 and not killed:
            machines.remove_node(lost, allow_graceful=False)
            killed.append(lost)
            machines.add_node(num_cpus=1)

    done = run(site, out, on_outcome=kill_once)
    assert killed
    assert (done.done, done.failed, done.masks) == (PHOTOS, 0, 2 * PHOTOS)
    assert_whole(rows(out), site, out)
