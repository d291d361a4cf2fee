"""What is wrong with how a command ended: judged by what it printed, left, and says is right.

Results are read by rasterio, numpy, pyogrio and shapely alone; of geofcn there is the net.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import signal
from pathlib import Path

import numpy as np
import pyogrio
import rasterio
import rasterio.features
import shapely
import torch
from rasterio.enums import ColorInterp
from rasterio.windows import Window
from runner import Outcome

from geofcn.models.model_file import load_model

# What no command may say of its own accord, in whatever library's words.
NOT_FOR_USERS = re.compile(
    r"Traceback|unexpected \w+|CPLE_|_tiff\w+Proc|Warning:|^ERROR \d|^WARNING|File \"|"
    r"Exception ignored",
    re.MULTILINE,
)
# Sums of several notices and one error.
MOST_LINES = 10
# A probability so near to the threshold may fall on either side.
ROUNDING = 1e-4
UNFINISHED = (".partial", ".lock")


def snapshot(folder: Path) -> dict[str, tuple[str, int]]:
    """What a folder holds: checksum and time of every file, by its name in it."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime_ns,
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def faults_of_words(outcome: Outcome, folder: Path) -> list[str]:
    """What is wrong with how a command ended and what it printed; `folder` holds its files."""
    if outcome.code < 0:
        return [f"it died of {signal.Signals(-outcome.code).name}"]
    faults = []
    if outcome.code not in (0, 1, 2):
        faults.append(f"exit code {outcome.code}")
    printed = outcome.stdout + outcome.stderr
    if found := NOT_FOR_USERS.search(printed):
        faults.append(f"it says {found[0]!r}")
    if any(not mark.isprintable() and mark != "\n" for mark in printed):
        faults.append("it prints control characters")
    lines = outcome.stderr.splitlines()
    errors = [line for line in lines if line.startswith("Error: ")]
    if len(lines) > MOST_LINES or max(map(len, lines), default=0) > 3000:
        faults.append(f"it prints {len(lines)} lines of {sum(map(len, lines))} characters")
    if outcome.code == 0 and errors:
        faults.append("an error, but exit code 0")
    if outcome.code != 0:
        if len(errors) != 1 or lines[-1] != errors[0]:
            faults.append("its error is not one last line")
        elif outcome.code == 1 and str(folder) not in errors[0]:
            faults.append("its error names no file")
    return faults


def unfinished(folder: Path) -> list[str]:
    """What was left in a folder under a name of what is not finished."""
    return [
        f"{path.name} is left"
        for path in folder.rglob(".*")
        if path.name.endswith(UNFINISHED) and not path.name.endswith(".work")
    ]


# --- results -------------------------------------------------------------------------------------


def wrong_info(scene: Path, stdout: str) -> list[str]:
    """What `info --json` says of a scene that is not so."""
    told = json.loads(stdout)
    with rasterio.open(scene) as file:
        is_known = file.colorinterp[0] != ColorInterp.palette
        true = {
            "width": file.width,
            "height": file.height,
            "dtype": file.dtypes[0] if is_known else told["dtype"],
            "transform": list(file.transform)[:6],
        }
        if file.crs is None and told["crs"] is not None:
            return [f"crs {told['crs']}, true None"]
    return [
        f"{name} {told[name]}, true {value}"
        for name, value in true.items()
        if told[name] != value and not np.allclose(told[name], value, equal_nan=True)
    ]


def wrong_mask(scene: Path, model: Path, mask: Path, threshold: float) -> list[str]:
    """Where a mask is not what one pass of the net over the whole scene gives."""
    with rasterio.open(scene) as file, rasterio.open(mask) as result:
        faults = _wrong_place(file, result)
        if faults:
            return faults
        whole = Window(0, 0, file.width, file.height)
        found = result.read(1, window=whole)
        expected, decided = _one_pass(file, model, threshold)
    if expected is None:
        return []
    different = (found != expected) & decided
    if different.any():
        return [f"{different.sum()} of {different.size} pixels are wrong"]
    return []


def _one_pass(file, model_path: Path, threshold: float):
    """Expected mask, and where it is beyond rounding; None where bands are no red, green, blue."""
    colours = [colour.name for colour in file.colorinterp[:3]]
    masks = {colour.name for colour in file.colorinterp[3:]}
    is_plain = set(file.scales[:3]) == {1} and set(file.offsets[:3]) == {0}
    if colours != ["red", "green", "blue"] or masks - {"alpha"} or not is_plain:
        return None, None
    image = file.read((1, 2, 3))
    nodata = file.nodatavals[:3]
    blank = np.zeros(image.shape[1:], bool)
    if any(value is not None for value in nodata):
        blank |= np.all(
            [
                band == value if value is not None else True
                for band, value in zip(image, nodata, strict=True)
            ],
            axis=0,
        )
    flags = [set(map(str, file.mask_flag_enums[band])) for band in range(3)]
    if any("per_dataset" in " ".join(flag) or not flag for flag in flags):
        blank |= np.all(file.read_masks((1, 2, 3)) == 0, axis=0)
    if masks:
        blank |= file.read(4) == 0
    image = image.astype(np.float64)
    blank |= ~np.isfinite(image).all(axis=0)
    model = load_model(model_path)
    mean, scale = model.normalisation.mean, model.normalisation.scale
    height, width = image.shape[1:]
    rows, cols = (side + -side % 8 for side in (height, width))
    seen = np.zeros((3, rows, cols), np.float32)
    seen[:, :height, :width] = np.where(blank, 0, (image - mean) / scale[:, None, None])
    with torch.inference_mode():
        logits = model.net(torch.from_numpy(seen)[None])[0].double()
    probability = torch.softmax(logits, 0)[1].numpy()[:height, :width]
    expected = np.where(blank, 255, probability >= threshold)
    return expected, blank | (abs(probability - threshold) > ROUNDING)


def _wrong_place(file, result) -> list[str]:
    facts = {
        "shape": (file.shape, result.shape),
        "transform": (file.transform, result.transform),
        "crs": (file.crs, result.crs),
    }
    return [
        f"{name} {found}, true {true}"
        for name, (true, found) in facts.items()
        if true != found and not (name == "transform" and found.almost_equals(true, 1e-9))
    ]


def wrong_polygons(mask: Path, polygons: Path) -> list[str]:
    """Where polygons, raw ones of any size, are not those of a mask's pixels."""
    with rasterio.open(mask) as file:
        values, transform = file.read(1), file.transform
        houses = (values != 0) & (values != (file.nodata if file.nodata is not None else -1))
        houses &= file.read_masks(1) != 0
    count = sum(
        1 for _ in rasterio.features.shapes(houses.astype(np.uint8), houses, connectivity=4)
    )
    shapes = pyogrio.read_dataframe(
        polygons, layer="houses" if polygons.suffix == ".gpkg" else None
    )
    area = shapes.geometry.area.sum() / abs(transform.determinant)
    faults = []
    if len(shapes) != count:
        faults.append(f"{len(shapes)} polygons, true {count}")
    # Coordinates are rounded, relative to their size.
    extent = max(map(abs, shapes.total_bounds), default=1) if len(shapes) else 1
    slack = 1e-6 * max(1, extent / math.sqrt(abs(transform.determinant))) * max(1, houses.sum())
    if abs(area - houses.sum()) > max(0.01, slack * 1e-3):
        faults.append(f"{area} pixels in polygons, true {houses.sum()}")
    return faults


def wrong_pixel_scores(prediction: Path, labels: Path, stdout: str) -> list[str]:
    """Where `evaluate --json` of two rasters on one grid has pixel scores that are not so."""
    with rasterio.open(prediction) as one, rasterio.open(labels) as other:
        if one.shape != other.shape or not one.transform.almost_equals(other.transform, 1e-6):
            return []
        sides = [(file.read(1), file.read_masks(1) != 0) for file in (one, other)]
    counted = sides[0][1] & sides[1][1]
    found, true = ((values != 0) & counted for values, _ in sides)
    union = (found | true).sum()
    expected = (found & true).sum() / union if union else math.nan
    told = json.loads(stdout)["pixels"]["iou"]
    told = math.nan if told is None else told
    if not np.isclose(told, expected, equal_nan=True):
        return [f"IoU {told}, true {expected}"]
    return []


def wrong_house_counts(prediction: Path, labels: Path, outcome: Outcome) -> list[str]:
    """Where `evaluate --json` of two vector files counts other houses, without a word."""
    objects = json.loads(outcome.stdout)["objects"]
    told = objects["tp"] + objects["fp"], objects["tp"] + objects["fn"]
    true = tuple(_count_parts(path) for path in (prediction, labels))
    if told != true and not outcome.stderr:
        return [f"{told} houses on the two sides, true {true}"]
    return []


def _count_parts(path: Path) -> int:
    shapes = np.asarray(pyogrio.read_dataframe(path, columns=[], on_invalid="fix").geometry.values)
    parts = shapely.get_parts(shapely.make_valid(shapes[~shapely.is_missing(shapes)]))
    areal = np.isin(shapely.get_type_id(parts), (3, 6)) & (shapely.area(parts) > 0)
    return len(shapely.get_parts(parts[areal]))


def wrong_burnt_labels(prediction: Path, labels: Path, outcome: Outcome) -> list[str]:
    """Where the labels' pixels of an evaluation on a raster are not those of the polygons."""
    frame = pyogrio.read_dataframe(labels, columns=[], on_invalid="fix")
    with rasterio.open(prediction) as file:
        if frame.crs is None or frame.crs != file.crs or outcome.stderr:
            return []
        found, counted = file.read(1) == 1, file.read_masks(1) != 0
        shapes = shapely.make_valid(np.asarray(frame.geometry.values))
        shapes = [shape for shape in shapes if shape is not None and not shape.is_empty]
        true = np.zeros(file.shape, np.uint8)
        if shapes:
            rasterio.features.rasterize(shapes, out=true, transform=file.transform)
    found, true = found & counted, (true == 1) & counted
    union = (found | true).sum()
    expected = (found & true).sum() / union if union else math.nan
    told = json.loads(outcome.stdout)["pixels"]["iou"]
    told = math.nan if told is None else told
    if not np.isclose(told, expected, atol=2 / max(1, union), equal_nan=True):
        return [f"IoU {told}, true {expected}"]
    return []


def wrong_model(run: Path, scene: Path) -> list[str]:
    """Where a trained model is not one, or has not the scene's means."""
    model = load_model(run / "best-f1.safetensors")
    with rasterio.open(scene) as file:
        if file.colorinterp[0] == ColorInterp.palette or len(model.metadata.colours) > file.count:
            return []
        least, most = (
            np.array([getattr(np, name)(file.read(band)) for band in range(1, file.count + 1)])
            for name in ("nanmin", "nanmax")
        )
    mean = model.normalisation.mean.mean(axis=(1, 2))
    if not all(least.min() <= value <= most.max() for value in mean):
        return [f"means {mean}, values from {least} to {most}"]
    return []


def other_weights(run: Path, expected: Path) -> list[str]:
    """Whether two runs have other models."""
    names = ("best-f1.safetensors", "last.safetensors")
    return [
        f"{name} is another model"
        for name in names
        if (run / name).read_bytes() != (expected / name).read_bytes()
    ]
