"""Cut a scene into sheets: python examples/cut_sheets.py SCENE FOLDER SIDE."""

import sys
from pathlib import Path

import rasterio
from rasterio.windows import Window

scene, folder, side = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
folder.mkdir(exist_ok=True)
with rasterio.open(scene) as file:
    for row in range(0, file.height, side):
        for col in range(0, file.width, side):
            window = Window(col, row, min(side, file.width - col), min(side, file.height - row))
            place = file.window_transform(window)
            profile = file.profile | {"height": window.height, "width": window.width}
            path = folder / f"sheet_{row}_{col}.tif"
            with rasterio.open(path, "w", **(profile | {"transform": place})) as sheet:
                sheet.write(file.read(window=window))
