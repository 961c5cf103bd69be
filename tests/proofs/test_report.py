"""The whole report of the bundled model, times and diagnosis measured, on a handful of rendered walls."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

from drywallqa.bundle.bundle import DEFAULT
from drywallqa.cli import main

pytestmark = pytest.mark.prove


@pytest.mark.skipif(not (DEFAULT / "bundle.json").exists(), reason="the package has no trained bundle yet")
def test_report__of_the_bundled_model_measures_everything(tmp_path: Path) -> None:
    pypdf = pytest.importorskip("pypdf")
    data, out = tmp_path / "walls", tmp_path / "report"
    for split, seed in (("val", "101"), ("test", "102")):
        rendered = ["--count", "5", "--seed", seed, "--split", split, "--set", f"rendered-{split}"]
        assert main(["data", "render", str(data), *rendered]) == 0
    prompts = ["--prompt", "segment crack", "--prompt", "segment taping area", "--prompt", "drywall seam"]
    assert main(["report", str(DEFAULT), "--data", str(data), "--out", str(out), "-q", *prompts]) == 0
    page = (out / "report.html").read_text(encoding="utf-8")
    assert len(page) < 3_000_000
    speed = json.loads((out / "bench.json").read_text(encoding="utf-8"))
    assert f"{speed['start']['peak_mb']:.0f} MB" in page
    assert f"{speed['rows'][0]['median_ms']:.1f} ms" in page
    assert (out / "diagnosis.json").is_file()
    assert "Diagnosis: not measured" not in page
    measured = json.loads((out / "evaluation" / "test" / "evaluation.json").read_text(encoding="utf-8"))
    assert [question["prompt"] for question in measured["questions"]] == prompts[1::2]
    assert re.search(r"encoder</code></td>\s*<td[^>]*>[\d,]{6,}", page), "parameters are counted"
    pages = pypdf.PdfReader(io.BytesIO((out / "report.pdf").read_bytes())).pages
    assert len(pages) >= 8
