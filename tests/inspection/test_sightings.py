from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drawn_cracks import line
from drywallqa.errors import DataError
from drywallqa.inspection.sightings import JointExtent, Sighting, Sightings, encode_sightings, read_sightings

RING = np.array([[0, 0], [9.5, 0], [9.5, 4]])
SEEN = Sightings(
    (
        Sighting("crack", (0, 0, 10, 5), 12, 0.75, (RING,), (line((1, 2), (8.25, 2), (0, 1)),)),
        Sighting("taping area", (0, 0, 10, 5), 30, 0.5, (), joint=JointExtent(RING[:2], 8.0, 2.5)),
    ),
    ("a remark",),
)


def test_sightings__written_and_read_again(tmp_path: Path) -> None:
    content = encode_sightings(SEEN)
    assert content == encode_sightings(SEEN)
    (tmp_path / "one.gz").write_bytes(content)
    read = read_sightings(tmp_path / "one.gz")
    assert read.remarks == SEEN.remarks
    assert encode_sightings(read) == content
    crack, joint = read.found
    assert crack.box == (0, 0, 10, 5)
    assert crack.lines[0].seen.dtype == bool
    assert np.allclose(crack.lines[0].points, SEEN.found[0].lines[0].points, atol=1e-3)
    assert joint.joint is not None
    assert joint.joint.open_length == 8


def test_read_sightings__a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "one.gz"
    path.write_bytes(encode_sightings(SEEN)[:60])
    with pytest.raises(DataError, match=r"one\.gz cannot be read"):
        read_sightings(path)
