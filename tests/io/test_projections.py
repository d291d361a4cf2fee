"""geofcn.io.projections: the CRS are right, whatever another PROJ left in the environment."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

from geofcn.errors import SceneError
from geofcn.io import projections


@pytest.fixture
def foreign(tmp_path) -> Path:
    """A folder with the database of an older PROJ."""
    folder = tmp_path / "proj"
    folder.mkdir()
    database = sqlite3.connect(folder / "proj.db")
    database.execute("CREATE TABLE metadata (key TEXT, value TEXT)")
    rows = [("DATABASE.LAYOUT.VERSION.MAJOR", "1"), ("DATABASE.LAYOUT.VERSION.MINOR", "0")]
    database.executemany("INSERT INTO metadata VALUES (?, ?)", rows)
    database.commit()
    database.close()
    return folder


@pytest.mark.parametrize("name", ["PROJ_DATA", "PROJ_LIB"])
def test_the_data_of_another_proj_are_not_used(foreign, write_raster, name):
    path = write_raster("a.tif", np.ones((4, 4), np.uint8))
    run = subprocess.run(
        [sys.executable, "-P", "-m", "geofcn_cli", "info", str(path)],
        env={**os.environ, name: str(foreign)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert "EPSG:25832" in run.stdout
    told = f"odd: {name}: {foreign} is of another PROJ; the data of rasterio are used.\n"
    assert told in run.stdout


def test_where_no_data_are_right_it_is_said(foreign, monkeypatch):
    monkeypatch.setattr(projections, "KNOWN", {4326: ("Mars", False)})
    monkeypatch.setenv("PROJ_DATA", str(foreign))
    projections.check_projections.cache_clear()
    with pytest.raises(SceneError, match="no CRS can be told"):
        projections.check_projections()
    monkeypatch.undo()
    with rasterio.Env():
        projections.check_projections()
