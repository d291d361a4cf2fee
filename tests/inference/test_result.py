"""geofcn.inference.result"""

from pathlib import Path

from geofcn.inference.result import InferenceResult
from geofcn.inference.threshold import SceneThreshold
from geofcn.inference.verify import Verification

MASK, PROBABILITY, POLYGONS = Path("mask.tif"), Path("p.tif"), Path("houses.gpkg")


def test_a_result_prints_the_files_it_names():
    assert str(InferenceResult(MASK, None, None, 100, None, 1.0)) == "mask.tif"
    both = InferenceResult(MASK, PROBABILITY, POLYGONS, 100, 3, 1.0)
    assert str(both) == "mask.tif\np.tif\nhouses.gpkg"


def test_a_verification_is_the_last_line():
    verification = Verification(50, 1, 0.5)
    result = InferenceResult(MASK, None, POLYGONS, 100, 0, 1.0, verification)
    assert str(result).splitlines() == ["mask.tif", "houses.gpkg", str(verification)]


def test_the_threshold_of_the_scene_is_said_after_the_files():
    found, verification = SceneThreshold(0.18, 0.41, 0.69), Verification(50, 1, 0.5)
    result = InferenceResult(MASK, None, None, 100, None, 1.0, verification, found)
    assert str(result).splitlines() == ["mask.tif", str(found), str(verification)]
