"""How much memory inference takes, and whether it grows with the scene.

    python tests/benchmarks/bench_memory.py [--width 20000] [--height 20000] [--rounds 3]
        [--net fcnn2] [--scale 1] [--polygons]
    python tests/benchmarks/bench_memory.py --table 4096x4096,64x262144,1000000x64 [--nets stub]

`geofcn.infer` in a process of its own for a scene of that size and for one twice as high, with a
net that was trained on a synthetic scene, so that there are houses. Prints the peak of each one's
resident memory above what it was after all imports and the time, and
of the medians of the rounds what the second took more: where in its heap a pass finds room depends
on what two threads hold in that moment, so that runs of one scene differ by a tenth.

With --table: one row for each net and size (width x height) with mask, probabilities and polygons
written: the peak of the process in all, and its rate over that of the first size. Scenes are VRTs
of a synthetic piece. The nets have learnt for one epoch at their default scales; `stub` is fcnn at
scale 8 after 20, which takes next to no time: what it shows is what all else takes.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import rasterio
from materials import elsewhere, peak, synthetic_piece, train_model, write_repeated


def infer_scene(scene: Path, mask: Path, model: Path, polygons: Path | None) -> tuple[int, float]:
    """Bytes above the imports, and seconds."""
    import geofcn.inference.infer
    import geofcn.io.vector_writer

    before, start = peak(), time.perf_counter()
    geofcn.infer(scene, mask, model=model, polygons=polygons, overwrite=True)
    return peak() - before, time.perf_counter() - start


def write_vrt(path: Path, piece: Path, height: int, width: int) -> None:
    """A VRT of one scene, repeated over height x width pixels."""
    with rasterio.open(piece) as source:
        rows, cols, place, crs = source.height, source.width, source.transform, source.crs
    bands = []
    for band, colour in enumerate(("Red", "Green", "Blue"), 1):
        sources = [
            f'<SimpleSource><SourceFilename relativeToVRT="1">{piece.name}</SourceFilename>'
            f'<SourceBand>{band}</SourceBand><SrcRect xOff="0" yOff="0" xSize="{cols}" '
            f'ySize="{rows}"/><DstRect xOff="{col}" yOff="{row}" xSize="{cols}" ySize="{rows}"/>'
            "</SimpleSource>"
            for row in range(0, height, rows)
            for col in range(0, width, cols)
        ]
        bands.append(
            f'<VRTRasterBand dataType="Byte" band="{band}"><ColorInterp>{colour}</ColorInterp>'
            f"{''.join(sources)}</VRTRasterBand>"
        )
    path.write_text(
        f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}"><SRS>{crs.to_string()}</SRS>'
        f"<GeoTransform>{', '.join(map(str, place.to_gdal()))}</GeoTransform>{''.join(bands)}"
        "</VRTDataset>"
    )


def infer_all(scene: Path, model: Path) -> tuple[int, float]:
    """The peak of a process that writes everything, and seconds."""
    import geofcn.inference.infer

    start, outputs = time.perf_counter(), [scene.parent / name for name in ("m.tif", "p.tif")]
    geofcn.infer(
        scene,
        outputs[0],
        model=model,
        probability=outputs[1],
        polygons=scene.parent / "houses.gpkg",
        overwrite=True,
    )
    return peak(), time.perf_counter() - start


def print_table(folder: Path, sizes: list[str], nets: list[str]) -> None:
    """One row for each net and size."""
    pixels, _ = synthetic_piece()
    piece = folder / "piece.tif"
    write_repeated(piece, pixels, *pixels.shape[1:])
    print(f"| net | width x height | MB | Mpx/s | over the first |\n|{'---|' * 5}")
    for net in nets:
        model, first = folder / f"{net}.safetensors", None
        options = {"net": "fcnn", "scale": 8} if net == "stub" else {"net": net}
        train_model(model, epochs=20 if net == "stub" else 1, **options)
        for size in sizes:
            width, height = map(int, size.split("x"))
            scene = folder / f"{size}.vrt"
            write_vrt(scene, piece, height, width)
            taken, seconds = elsewhere(infer_all, scene, model)
            rate = width * height / seconds / 1e6
            first = first or rate
            row = f"| {net} | {width:,} x {height:,} | {taken / 2**20:.0f} | {rate:.1f} | "
            print(f"{row}{rate / first:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=20_000)
    parser.add_argument("--height", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--net", default="fcnn2")
    parser.add_argument("--scale", type=int, default=1)
    parser.add_argument("--polygons", action="store_true", help="write polygons as well")
    parser.add_argument("--table", help="sizes, WIDTHxHEIGHT,...")
    parser.add_argument("--nets", default="stub", help="of the table: stub, or names")
    given = parser.parse_args()
    if given.table:
        with tempfile.TemporaryDirectory() as name:
            print_table(Path(name), given.table.split(","), given.nets.split(","))
        return
    heights = given.height, 2 * given.height
    peaks = {height: [] for height in heights}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "model.safetensors"
        train_model(model, net=given.net, scale=given.scale, epochs=20)
        piece, _ = synthetic_piece()
        for height in heights:
            write_repeated(folder / f"{height}.tif", piece, height, given.width)
        polygons = folder / "houses.gpkg" if given.polygons else None
        for height in heights * given.rounds:
            scene = folder / f"{height}.tif"
            taken, seconds = elsewhere(infer_scene, scene, folder / "mask.tif", model, polygons)
            peaks[height].append(taken)
            rate = height * given.width / seconds / 1e6
            print(
                f"{height:>6} x {given.width}: {taken / 2**20:5.0f} MB over the imports, "
                f"{seconds:4.0f} s, {rate:.1f} Mpx/s",
                flush=True,
            )
    once, twice = (statistics.median(peaks[height]) for height in heights)
    print(
        f"medians {once / 2**20:.0f} and {twice / 2**20:.0f} MB; "
        f"twice the height: {100 * (twice / once - 1):+.1f} % memory"
    )


if __name__ == "__main__":
    main()
