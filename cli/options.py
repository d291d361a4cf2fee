"""What the verbs share: options, parameter types, errors in one sentence, progress, messages."""

from __future__ import annotations

import functools
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NoReturn

import click

from geofcn.defaults import DEVICES
from geofcn.errors import GeofcnError, UsageError
from geofcn.io import files
from geofcn.polygons.outline import (
    DEFAULT_OUTLINE,
    LEAST_AREA,
    METHODS,
    SQUARE_TOLERANCE,
    TOLERANCE,
)
from geofcn.progress import Progress, bar, logged, silent
from geofcn.text import printable
from geofcn_cli import config, json_progress
from geofcn_cli.stderr import without_noise

PATH = click.Path(path_type=str)
# BrokenPipeError: whoever reads what is printed has read enough.
LEFT_TO_CLICK = (click.ClickException, click.exceptions.Exit, BrokenPipeError)


class Bands(config.CommaSeparated):
    """Numbers with commas."""

    name = "N,N,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        """What was typed as a value, or a usage error."""
        numbers = value.split(",")
        if not all(number.strip().isdecimal() for number in numbers):
            self.fail(f"{value!r} is no list of band numbers, as in 1,2,3.")
        return tuple(map(int, numbers))


class Shift(config.CommaSeparated):
    """Two numbers with a comma."""

    name = "X,Y"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, ...]:
        """What was typed as a value, or a usage error."""
        try:
            x, y = map(float, value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not two numbers of metres, as in 1.5,-0.8.")
        return x, y


overwrite = click.option("--overwrite", is_flag=True, help="Replace what exists.")
bands = click.option(
    "--bands",
    type=Bands(),
    metavar="N,N,...",
    help="Numbers of the bands that the net looks at, in order, even of one called alpha.  "
    "[default: the model's; all but alpha]",
)
nodata = click.option(
    "--nodata",
    type=float,
    metavar="V",
    help="A pixel with this value in every band is blank, besides what the file declares.",
)
outline = click.option(
    "--outline",
    type=click.Choice(METHODS),
    default=DEFAULT_OUTLINE.method,
    show_default=True,
    help="Outlines as they are, simplified, or with right angles where they have them; done once a "
    "polygon is finished.",
)
simplify = click.option(
    "--simplify",
    type=click.FloatRange(min=0),
    show_default=f"{TOLERANCE:g}; for square {SQUARE_TOLERANCE:g} net pixels, if more",
    metavar="PX",
    help="How far a simplified outline may stray, in pixels.",
)
_min_area = functools.partial(
    click.option,
    "--min-area",
    type=click.FloatRange(min=0),
    metavar="M2",
    help="Leave out smaller footprints, in square metres on the ground.",
)
min_area = _min_area(show_default=f"{LEAST_AREA:g}; 0 without CRS")
min_area_of_both = _min_area(default=0.0, show_default=True)
device = click.option(
    "--device",
    type=click.Choice(DEVICES),
    default=DEVICES[0],
    show_default=True,
    help="Where the net is computed; auto: the first of cuda, mps and cpu that is there.",
)
fill_holes = click.option(
    "--fill-holes",
    type=click.FloatRange(min=0),
    default=DEFAULT_OUTLINE.fill_holes,
    show_default=True,
    metavar="M2",
    help="Fill smaller holes, in square metres on the ground.",
)
allow_no_crs = click.option(
    "--allow-no-crs",
    is_flag=True,
    help="Write polygons without CRS, in the units of the transform.",
)
report_page = click.option(
    "--report",
    type=PATH,
    metavar="FILE",
    help="Write a page (.html) to look at and to pass on: picture, scores, plan, command.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


layer = click.option(
    "--layer",
    metavar="NAME",
    help="Layer of LABELS, where their file has several; as in FILE|layername=NAME.",
)
where = click.option(
    "--where",
    metavar="SQL",
    help="Features of LABELS that count, as a condition; as in FILE|subset=SQL.",
)
_area = click.option(
    "--area",
    type=PATH,
    metavar="FILE",
    help="Look for houses within these polygons alone; as in FILE|layername=NAME|subset=SQL.",
)
_bounds = click.option(
    "--bounds",
    type=float,
    nargs=4,
    metavar="W S E N",
    help="The same for a rectangle, in the CRS of SCENE or of --bounds-crs.",
)
_bounds_crs = click.option("--bounds-crs", metavar="EPSG:CODE", help="CRS of --bounds.")
house_value = click.option(
    "--house-value",
    type=float,
    multiple=True,
    metavar="V",
    help="A raster's value for houses, all others being background; may be given several times, or "
    "as in FILE|house=V,V.  [default: the only one besides 0 and nodata]",
)

instances = click.option(
    "--instances",
    is_flag=True,
    help="Each value of the raster besides 0 and nodata is a house of its own, so that those that "
    "touch are told apart; as in FILE|instances.",
)

shift_labels = click.option(
    "--shift-labels",
    type=Shift(),
    metavar="X,Y",
    help="Move LABELS by so many metres on the ground along x and y of the scene's CRS, as `geofcn "
    "info` may tell; as in FILE|shift=X,Y.",
)


def area(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command --area, --bounds and --bounds-crs."""
    for option in (_bounds_crs, _bounds, _area):
        function = option(function)
    return function


def is_given(name: str) -> bool:
    """Whether the user, and not a default, says what the parameter `name` is."""
    return click.get_current_context().get_parameter_source(name) in config.GIVEN


class Stopped(KeyboardInterrupt):
    """A signal to end, as Ctrl-C is one."""


@contextmanager
def _signals_raise() -> Iterator[None]:
    """Let signals that would end the process at once leave nothing unfinished behind."""

    def stop(number: int, frame: object) -> None:
        raise Stopped(number)

    names = ("SIGTERM", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    # What a shell or nohup has set otherwise stays so; only the main thread can hear signals.
    heard = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        heard = []
    for number in heard:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, signal.SIG_DFL)


def _end(stopped: KeyboardInterrupt, how: str) -> NoReturn:
    """End at once: what is under way in worker threads is not waited for."""
    number = stopped.args[0] if isinstance(stopped, Stopped) else signal.SIGINT
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    files.discard_unfinished()
    notes = [*getattr(stopped, "__notes__", ()), how]
    click.echo(f"Stopped; {'; '.join(notes)}.", err=True)
    sys.stderr.flush()
    os._exit(128 + number)


def verb(
    function: Callable[..., None], stopped: str = "what was not finished is removed"
) -> Callable[..., None]:
    """Give a command -v, -q, --debug, --config, a progress bar, and errors of one sentence.

    The wrapped function gets `progress` as its first argument. `stopped` is said after Ctrl-C.
    """

    def run(
        *args: Any, verbose: bool, quiet: bool, debug: bool, save_config: str | None, **options: Any
    ) -> None:
        _set_up_messages(verbose or debug, quiet)
        try:
            with _signals_raise(), config.saved(save_config):
                function(_progress(quiet), *args, **options)
        except Exception as error:
            if debug or isinstance(error, LEFT_TO_CLICK):
                raise
            fail(error)
        except KeyboardInterrupt as error:
            _end(error, stopped)

    @click.option(
        "--config",
        type=PATH,
        is_eager=True,
        expose_value=False,
        callback=config.use,
        metavar="FILE",
        help="Take options and arguments that are not given here from this TOML file.",
    )
    @click.option(
        "--save-config",
        type=PATH,
        metavar="FILE",
        help="Write what is given, once it is done, as such a file (.toml).",
    )
    @click.option("-v", "--verbose", is_flag=True, help="Say more.")
    @click.option("-q", "--quiet", is_flag=True, help="Print nothing but answers and errors.")
    @click.option("--debug", is_flag=True, help="Show the traceback of an error.")
    @functools.wraps(function)
    def command(*args: Any, verbose: bool, quiet: bool, debug: bool, **options: Any) -> None:
        with nullcontext() if verbose or debug else without_noise():
            run(*args, verbose=verbose, quiet=quiet, debug=debug, **options)

    return command


def _progress(quiet: bool) -> Progress:
    """A bar on a terminal, lines elsewhere; JSON for a program that asks for it."""
    if quiet:
        return silent
    if os.environ.get(json_progress.VARIABLE) == json_progress.JSON:
        return json_progress.json_lines
    return bar if sys.stderr.isatty() else logged


lasting_verb = functools.partial(verb, stopped="run the same command again to go on")


def fail(error: Exception) -> NoReturn:
    """End with the error's sentence on stderr and its exit code."""
    if isinstance(error, GeofcnError):
        click.echo(f"Error: {error}", err=True)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    if isinstance(error, UnicodeEncodeError):
        # Bytes of a name that the locale's encoding does not know, which libraries do not take.
        click.echo(
            printable(
                f"Error: {error.object}: this name is no text in this locale; set PYTHONUTF8=1, or "
                "rename it."
            ),
            err=True,
        )
        sys.exit(1)
    kind = type(error).__name__
    sentence = f"Error: unexpected {kind}: {error} (run again with --debug to see where)"
    click.echo(printable(sentence), err=True)
    sys.exit(1)


def show(answer: object) -> None:
    """Print what was asked for on stdout, line by line harmless."""
    for line in str(answer).split("\n"):
        click.echo(printable(line))


def report(made: object, asked: object = None) -> None:
    """Print what a verb has made; where it is to be quiet, only what was asked for besides."""
    quiet = click.get_current_context().params["quiet"]
    if not quiet or asked is not None:
        show(asked if quiet else made)


class _Notice(logging.Formatter):
    """A message of the log as one harmless line."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _set_up_messages(verbose: bool, quiet: bool) -> None:
    """Notices of geofcn go to stderr as plain lines; other libraries' warnings only with -v."""
    log = logging.getLogger("geofcn")
    log.handlers = [logging.StreamHandler()]
    log.handlers[0].setFormatter(_Notice())
    log.propagate = False
    log.setLevel(logging.INFO if verbose else logging.ERROR if quiet else logging.WARNING)
    if not verbose:
        warnings.simplefilter("ignore")
        # Where `rio` has set up a log: what GDAL finds wrong is told by an error, or it is not.
        logging.getLogger("rasterio").setLevel(logging.CRITICAL)
