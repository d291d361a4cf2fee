"""The pipeline in one picture: a scene, its mask, the outlines of its houses.

    python examples/picture.py FOLDER PICTURE

FOLDER holds scene.tif, mask.tif and houses.gpkg, as examples/quickstart.sh leaves them.
"""

import sys
from pathlib import Path

import geopandas
import matplotlib
import numpy as np
import rasterio
from rasterio.plot import plotting_extent

matplotlib.use("Agg")
from matplotlib import pyplot as plt

folder, picture = Path(sys.argv[1]), Path(sys.argv[2])

with rasterio.open(folder / "scene.tif") as dataset:
    scene = np.moveaxis(dataset.read(), 0, -1)
    scene[dataset.dataset_mask() == 0] = 255
    extent = plotting_extent(dataset)
with rasterio.open(folder / "mask.tif") as dataset:
    mask = dataset.read(1)
    colours = dataset.colormap(1)
houses = geopandas.read_file(folder / "houses.gpkg", layer="houses")

palette = np.array([colours[value][:3] for value in range(256)], np.uint8)

figure, panels = plt.subplots(1, 3, figsize=(15, 5.2), layout="constrained")
panels[0].imshow(scene, extent=extent)
panels[1].imshow(palette[mask], extent=extent)
panels[2].imshow(scene, extent=extent, alpha=0.55)
houses.plot(ax=panels[2], facecolor="#e23d2833", edgecolor="#d11507", linewidth=1.1)
titles = ("scene.tif", "mask.tif", f"houses.gpkg, {len(houses)} polygons")
for panel, title in zip(panels, titles, strict=True):
    panel.set_title(title, family="monospace")
    panel.set_axis_off()
figure.savefig(picture, dpi=90, pil_kwargs={"quality": 82})
print(picture)
