"""Segment photos on several machines with Ray Data. Photos and masks can be on disks or in object stores.

Example:
    >>> from functools import partial
    >>> import drywallqa
    >>> from drywallqa.fleet import segment_fleet
    >>> segment_fleet(  # doctest: +SKIP
    ...     partial(drywallqa.load, threads=1), ["s3://site/photos"], ["crack"], "s3://site/masks"
    ... )
"""

from drywallqa.fleet.cluster import Fleet
from drywallqa.fleet.fleet_run import segment_fleet

__all__ = ["Fleet", "segment_fleet"]
