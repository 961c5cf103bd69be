"""`findings.geojson` is valid GeoJSON in a stated frame, with the width at each vertex."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drywallqa.inspection.finding_geojson import write_findings_geojson
from drywallqa.inspection.ledger import CentreLine, Ledger, ScaleRecord
from inspection_examples import LINE, around, finding_of, ledger_of, observation_of, photo_of


def written(ledger: Ledger, folder: Path) -> dict[str, Any]:
    write_findings_geojson(ledger, folder / "findings.geojson")
    content: dict[str, Any] = json.loads((folder / "findings.geojson").read_text("utf-8"))
    return content


def signed_area(ring: list[list[float]]) -> float:
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(ring)) / 2


def check_geojson(content: dict[str, Any]) -> None:
    """Check the rules of RFC 7946 for the geometries that the file uses."""
    assert content["type"] == "FeatureCollection"
    assert "crs" not in content
    ids = [feature["id"] for feature in content["features"]]
    assert len(ids) == len(set(ids))
    for feature in content["features"]:
        assert set(feature) == {"type", "id", "geometry", "properties"}
        geometry = feature["geometry"]
        if geometry["type"] == "MultiPolygon":
            for polygon in geometry["coordinates"]:
                for ring in polygon:
                    assert len(ring) >= 4
                    assert ring[0] == ring[-1]
                assert signed_area(polygon[0]) > 0  # exterior rings are counterclockwise
        else:
            assert geometry["type"] == "MultiLineString"
            assert all(len(line) >= 2 for line in geometry["coordinates"])


def test_outline_and_centre_line_of_each_open_finding(tmp_path: Path) -> None:
    ledger = ledger_of(finding_of(1, observation_of(around(0.5))), finding_of(2, state="deleted"))
    content = written(ledger, tmp_path)
    check_geojson(content)
    outline, line = content["features"]
    assert (outline["properties"]["part"], line["properties"]["part"]) == ("outline", "centre line")
    assert line["geometry"]["coordinates"] == [[[10, 25], [35, 25], [59, 25]]]
    assert line["properties"]["width_px"] == [[5, 6, 5]]
    assert line["properties"]["width_mm"] == [[0.5, 0.6, 0.5]]
    assert line["properties"]["line_mm"] == [[[1, 2.5], [3.5, 2.5], [5.9, 2.5]]]
    assert outline["properties"]["mm"]["width_max"] == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert content["frame"]["wgs84"] is False
    assert content["frame"]["y"] == "down"


def test_without_a_scale_there_are_no_millimetres(tmp_path: Path) -> None:
    ledger = ledger_of(finding_of(1, observation_of()), photos=(photo_of(None),))
    line = written(ledger, tmp_path)["features"][1]["properties"]
    assert (line["mm"], line["width_mm"], line["line_mm"], line["photo_to_mm"]) == (None, None, None, None)


def test_perspective_is_applied(tmp_path: Path) -> None:
    homography = ((0.2, 0.0, 1.0), (0.0, 0.2, 2.0), (0.01, 0.0, 1.0))
    photo = replace(photo_of(), scale=ScaleRecord(0.2, 0.01, "marker", homography))
    line = written(ledger_of(finding_of(1, observation_of(around(0.5))), photos=(photo,)), tmp_path)[
        "features"
    ][1]
    assert line["properties"]["line_mm"][0][0] == pytest.approx([3 / 1.1, 7 / 1.1], abs=1e-3)


def test_degenerate_shapes_are_left_out(tmp_path: Path) -> None:
    flat = observation_of(
        polygon=(((0.0, 0.0), (5.0, 5.0), (0.0, 0.0)),),
        centre_lines=(CentreLine(((1.0, 1.0),), (2.0,)), LINE),
    )
    content = written(ledger_of(finding_of(1, flat)), tmp_path)
    check_geojson(content)
    assert len(content["features"]) == 1


RINGS = st.lists(st.tuples(st.floats(0, 4000), st.floats(0, 3000)), min_size=3, max_size=12)


@given(RINGS)
def test_rings_turn_counterclockwise(tmp_path_factory: pytest.TempPathFactory, ring: list[Any]) -> None:
    whole = [(float(round(x)), float(round(y))) for x, y in ring]
    ledger = ledger_of(finding_of(1, observation_of(polygon=(tuple(whole),))))
    content = written(ledger, tmp_path_factory.mktemp("g"))
    check_geojson(content)
    outlines = [f for f in content["features"] if f["properties"]["part"] == "outline"]
    closed = [list(point) for point in (*whole, whole[0])]
    assert [abs(signed_area(f["geometry"]["coordinates"][0][0])) for f in outlines] == [
        area for area in [abs(signed_area(closed))] if area
    ]


def test_shapely_reads_it(tmp_path: Path) -> None:
    shapely = pytest.importorskip("shapely.geometry")
    for feature in written(ledger_of(finding_of(1, observation_of(around(0.5)))), tmp_path)["features"]:
        shape = shapely.shape(feature["geometry"])
        assert shape.is_valid
        assert shape.bounds in {(10, 20, 59, 30), (10, 25, 59, 25)}
