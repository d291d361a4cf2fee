"""Output files of an inference: checked before the work, written on the way, then published."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from geofcn.core.pixels import HOUSE, with_contacts
from geofcn.core.windows import Window
from geofcn.inference.job import Job
from geofcn.inference.shards import Arrays, Shards, claimed
from geofcn.io.cog_writer import mask_writer, probability_writer
from geofcn.io.files import StrPath, check_target
from geofcn.io.raster_writer import RasterWriter, check_raster_target
from geofcn.io.vector_writer import check_vector_target
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
    mask : Path
        GeoTIFF of the mask.
    probability, polygons, report : Path or None
        GeoTIFF, vector file and page; None where it is not wanted.
    """

    mask: Path
    probability: Path | None
    polygons: Path | None
    report: Path | None = None

    @classmethod
    def check(
        cls,
        job: Job,
        mask: StrPath,
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
            Its scene, like `model`, must not be overwritten.
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
        The mask is the last to be published. A job killed just before left the others, and may
        replace them.

        Raises
        ------
        OutputError
            Before anything is computed, where a file must not or cannot be written.
        """
        sources = (job.scene.path, model)
        outputs = cls(check_raster_target(mask, overwrite, *sources), None, None)
        own = claimed(outputs.work_folder, job.fingerprint())
        raster = vector = page = None
        if probability is not None:
            may_replace = overwrite or Path(probability).absolute() in own
            raster = check_raster_target(probability, may_replace, *sources)
        if polygons is not None:
            may_replace = overwrite or Path(polygons).absolute() in own
            vector = check_vector_target(polygons, may_replace, *sources)
            refuse_no_crs(job.scene, allow_no_crs)
        if report is not None:
            may_replace = overwrite or Path(report).absolute() in own
            page = check_target(report, (".html",), may_replace, *sources)
        return cls(outputs.mask, raster, vector, page)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Paths of all files that are wanted, the mask first."""
        paths = self.mask, self.probability, self.polygons, self.report
        return tuple(path for path in paths if path)

    @property
    def work_folder(self) -> Path:
        """The hidden folder in which finished blocks wait for the others."""
        return self.mask.with_name(f".{self.mask.name}.work")

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
            grid, tags = job.scene.grid, job.tags()
            # Entered first, published last.
            tells = job.model.metadata.contacts is not None
            mask = mask_writer(self.mask, grid, contacts=tells, tags=tags, options=co)
            rasters: dict[str, RasterWriter] = {"mask": stack.enter_context(mask)}
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
            Every row band with its arrays, from the scene's first row to its last.
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
            calibration = self.job.model.metadata.score_calibration
            count = write_footprints(
                self.outputs.polygons,
                houses,
                self.job.scene,
                outline,
                calibration,
                None if report is None else report.add,
            )
        for _ in houses:  # without polygons the rasters are written on the way
            pass
        if report is not None:
            report.write()
        return count

    def _write_rasters(
        self, bands: Iterable[tuple[Window, Arrays]], shards: Shards
    ) -> Iterator[RowBand]:
        """Write rasters, and pass on what polygons are made of.

        The rasters are completed while the last polygons are made.
        """
        for window, arrays in bands:
            contacts = arrays.get("contacts")
            pixels = {**arrays, "mask": with_contacts(arrays["mask"], contacts)}
            for name, writer in self.rasters.items():
                writer.write(window, pixels[name])
                if window.bottom == self.job.scene.height:
                    writer.complete()
            yield RowBand(arrays["mask"] == HOUSE, arrays.get("quantised"), contacts)
        # All shards stand, of one state of the scene: what gets a name from here on is this job's.
        self.job.scene.refuse_changed()
        shards.claim(self.outputs.paths)
