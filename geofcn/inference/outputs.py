"""Output files of an inference: checked before the work, written on the way, then published."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from geofcn.core.pixels import HOUSE, mark_contacts
from geofcn.core.windows import Window
from geofcn.errors import UsageError
from geofcn.inference.area import HousesOfArea
from geofcn.inference.job import Job
from geofcn.inference.shards import Arrays, Shards, claimed
from geofcn.io.cog_writer import mask_writer, probability_writer
from geofcn.io.files import StrPath, check_target
from geofcn.io.raster_writer import RasterWriter, check_raster_target
from geofcn.io.sheets import refuse_new_sheet
from geofcn.io.vector_writer import FeatureBatch, check_vector_target
from geofcn.polygons.footprints import RowBand, refuse_no_crs, write_footprints
from geofcn.polygons.outline import Outline
from geofcn.polygons.score_tags import score_tags

if TYPE_CHECKING:
    from geofcn.inference.report import InferenceReport


@dataclass(frozen=True)
class Outputs:
    """Where the results of a job go.

    Attributes
    ----------
    mask, probability, polygons : Path or None
        Two GeoTIFFs and a vector file; None where it is not wanted, but one of them is.
    report : Path or None
        A page about them; None where it is not wanted.
    """

    mask: Path | None
    probability: Path | None
    polygons: Path | None
    report: Path | None = None

    @classmethod
    def check(
        cls,
        job: Job,
        mask: StrPath | None,
        probability: StrPath | None,
        polygons: StrPath | None,
        report: StrPath | None = None,
        *,
        model: StrPath,
        overwrite: bool,
        allow_no_crs: bool,
    ) -> Outputs:
        """The outputs' paths, once it is sure that they may and can be written.

        They are to be locked before, see `geofcn.io.locks`.

        Parameters
        ----------
        job : Job
            Its scene and its area, like `model`, must not be overwritten.
        mask, probability, polygons, report : path
            What to write; None where it is not wanted.
        model : path
            The model's file.
        overwrite : bool
            Replace files that exist.
        allow_no_crs : bool
            Write polygons of a scene without CRS.

        Notes
        -----
        The first output is the last to be published. A job killed just before left the others, and
        may replace them.

        Raises
        ------
        UsageError
            Where none is wanted.
        OutputError
            Before anything is computed, where a file must not or cannot be written.
        """
        sources = [*job.scene.files, model]
        if job.area is not None:
            sources.append(job.area.polygons.path)
        for raster in (mask, probability):
            refuse_new_sheet(job.scene.path, raster)
        if mask is probability is polygons is None:
            raise UsageError(
                "nothing is to be written; name a MASK, --probability FILE or --polygons FILE."
            )
        named = (mask, probability, polygons, report)
        wanted = cls(*(None if name is None else Path(name) for name in named))
        own = claimed(wanted.work_folder, job.fingerprint())
        for path in wanted.paths:
            is_own = path != wanted.paths[0] and path.absolute() in own
            wanted._check(path, overwrite or is_own, *sources)
        if wanted.polygons is not None:
            refuse_no_crs(job.scene, allow_no_crs)
        return wanted

    def _check(self, path: Path, may_replace: bool, *sources: StrPath) -> None:
        if path == self.report:
            check_target(path, (".html",), may_replace, *sources)
        elif path == self.polygons:
            check_vector_target(path, may_replace, *sources)
        else:
            check_raster_target(path, may_replace, *sources)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Paths of all files that are wanted, the mask first."""
        paths = self.mask, self.probability, self.polygons, self.report
        return tuple(path for path in paths if path)

    @property
    def work_folder(self) -> Path:
        """The hidden folder in which finished blocks wait for the others."""
        first = self.paths[0]
        return first.with_name(f".{first.name}.work")

    @contextmanager
    def open(self, job: Job, co: Mapping[str, str]) -> Iterator[OutputWriter]:
        """Make the rasters' files; leaving the block without an error publishes them.

        Parameters
        ----------
        job : Job
            Gives the grid, the types and the tags.
        co : dict
            Creation options of GDAL's COG driver.
        """
        with ExitStack() as stack:
            grid, tags = job.grid, job.tags()
            rasters: dict[str, RasterWriter] = {}
            if self.mask is not None:
                # Entered first, published last.
                tells = job.model.metadata.contacts is not None
                mask = mask_writer(self.mask, grid, contacts=tells, tags=tags, options=co)
                rasters["mask"] = stack.enter_context(mask)
            if self.probability is not None and job.dtype is not None:
                name = "quantised" if job.dtype == "uint8" else "probability"
                calibration = job.model.metadata.score_calibration
                if calibration is not None:
                    tags |= score_tags(calibration)
                probability = probability_writer(
                    self.probability, grid, job.dtype, tags=tags, options=co
                )
                rasters[name] = stack.enter_context(probability)
            yield OutputWriter(self, job, rasters)


@dataclass(frozen=True)
class OutputWriter:
    """Writes row bands to all outputs.

    Attributes
    ----------
    outputs : Outputs
        Where they go.
    job : Job
        What they are of.
    rasters : dict of RasterWriter
        By the name of the array that each takes, see `geofcn.inference.job.run_task`.
    """

    outputs: Outputs
    job: Job
    rasters: Mapping[str, RasterWriter]

    def write(
        self,
        bands: Iterable[tuple[Window, Arrays]],
        shards: Shards,
        outline: Outline,
        report: InferenceReport | None = None,
    ) -> int | None:
        """Hand every row band to the rasters' writers, and its houses to the polygons'.

        Parameters
        ----------
        bands : iterable of (Window, dict)
            Every row band with its arrays, from the first row that is computed to the last.
        shards : Shards
            Where they come from; the outputs are claimed in them once all bands are written.
        outline : Outline
            How the polygons are cleaned.
        report : InferenceReport, optional
            The page, which is shown what is written, and is the last to be.

        Returns
        -------
        int or None
            The number of polygons, where these are wanted.
        """
        houses = self._write_rasters(bands if report is None else report.watch(bands), shards)
        count = None
        if self.outputs.polygons is not None:
            show = None if report is None else report.add
            count = self._write_polygons(self.outputs.polygons, houses, outline, show)
        for _ in houses:  # without polygons the rasters are written on the way
            pass
        if report is not None:
            report.write()
        return count

    def _write_polygons(
        self,
        path: Path,
        houses: Iterable[RowBand],
        outline: Outline,
        show: Callable[[FeatureBatch], object] | None,
    ) -> int:
        """Write the polygons of all houses, or of those that begin in the area."""
        job = self.job
        about = (job.scene, outline, job.model.metadata.score_calibration)
        if job.area is None:
            return write_footprints(path, houses, *about, show=show)
        chosen = HousesOfArea(job.area, job.scene.window, job.window)
        part = job.layout.extent
        count = write_footprints(path, houses, *about, part=part, choose=chosen, show=show)
        chosen.say_cut()
        return count

    def _write_rasters(
        self, bands: Iterable[tuple[Window, Arrays]], shards: Shards
    ) -> Iterator[RowBand]:
        """Write rasters, and pass on what polygons are made of.

        The rasters are completed while the last polygons are made.
        """
        for window, arrays in bands:
            contacts, extent = arrays.get("contacts"), self.job.extent
            pixels: Arrays = {**arrays, "mask": mark_contacts(arrays["mask"], contacts)}
            part = window
            if self.job.area is not None:
                part, pixels = self.job.area.cut(window, pixels)
            for name, writer in self.rasters.items() if part.pixels else ():
                writer.write(part.relative_to(extent), pixels[name])
                if part.bottom == extent.bottom:
                    writer.complete()
            yield RowBand(arrays["mask"] == HOUSE, arrays.get("quantised"), contacts)
            del arrays, pixels, contacts  # before the next ones are read
        # All shards stand, of one state of the scene: what gets a name from here on is this job's.
        self.job.scene.refuse_changed()
        shards.claim(self.outputs.paths)
