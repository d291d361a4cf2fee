"""geofcn.forecast.disk: what outputs take, and when that is too much."""

from geofcn.forecast.disk import DiskEstimate, estimate_disk
from geofcn.forecast.oddities import oddities_of_disk


def test_the_peak_counts_bands_rasters_twice_and_polygons():
    disk = estimate_disk(mask_gb=4.0, probability_gb=8.0)
    assert disk.polygons_gb == 12.0
    assert disk.peak_gb == 9.0 + 2 * 12.0 + 12.0
    assert disk.free_gb > 0


def test_a_disk_that_is_too_small_is_odd():
    assert list(oddities_of_disk(DiskEstimate(1.0, peak_gb=5.0, free_gb=5.0))) == []
    (line,) = oddities_of_disk(DiskEstimate(1.0, peak_gb=5.1, free_gb=5.0))
    assert "up to 5.1 GB of disk, and 5.0 GB are free" in line
