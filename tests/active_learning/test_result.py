"""geofcn.active_learning.result: what a review prints."""

from pathlib import Path

from geofcn.active_learning.result import ReviewResult


def test_a_review_prints_its_files():
    assert str(ReviewResult(Path("b.gpkg"), 2, 0.1)) == "b.gpkg: 2 boxes"
    assert str(ReviewResult(Path("b.gpkg"), 2, 0.1, Path("p.html"))) == "b.gpkg: 2 boxes\np.html"
