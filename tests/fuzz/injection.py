"""Commands whose calls of the file system fail, or end the process, one after the other.

    python tests/fuzz/injection.py [--share S] [--seed N] [--job JOB]... [--keep FOLDER]

Every call that publishes or keeps work is counted; in turn it fails with each of FAULTS, or the
process dies there. Afterwards every final name must be absent or right, and the same command, run
again, must end with the very bytes of a run without faults. S is the share of all these cases that
is drawn; the last line is JSON: how many of each job there were, and their faults.
"""

from __future__ import annotations

import argparse
import builtins
import errno
import io
import json
import mmap
import os
import random
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import materials
import oracle
import runner

DIES = "dies"
# The rest of a disk that is full is full as well: so ENOSPC comes also from there on.
FAULTS = ("ENOSPC", "ENOSPC on", "EIO", "EACCES", DIES)
DEAD = 77
REMOVING = ("unlink", "rmdir")


@dataclass(frozen=True)
class Job:
    """A command that writes, and what it writes into its folder."""

    args: Callable[[Path, Path], Sequence[object]]
    outputs: Sequence[str]
    # Names of what may stand there while the job is unfinished, and that need not be right then.
    interim: Sequence[str] = ()


def _infer(source: Path, out: Path, *more: object) -> list[object]:
    return [
        "infer", source / "scene.tif", out / "mask.tif", "--model", source / "model.safetensors",
        "--min-area", 0, "--threshold", 0.5, *more,
    ]  # fmt: skip


SHAPE = ("houses.shp", "houses.shx", "houses.dbf", "houses.prj", "houses.cpg")
RUN = (
    "best-f1.safetensors", "best-accuracy.safetensors", "last.safetensors", "history.csv",
    "loss.png", "scores.png", "overlay.png", "finished.safetensors", "run.toml",
)  # fmt: skip
JOBS = {
    "infer": Job(
        lambda s, o: _infer(
            s, o, "--polygons", o / "houses.gpkg", "--probability", o / "probability.tif"
        ),
        ("probability.tif", "houses.gpkg", "mask.tif"),
    ),
    "infer-shp": Job(
        lambda s, o: _infer(s, o, "--polygons", o / "houses.shp"), (*SHAPE, "mask.tif")
    ),
    "polygonize": Job(
        lambda s, o: ["polygonize", s / "mask.tif", o / "houses.shp"], SHAPE
    ),
    "polygonize-gpkg": Job(
        lambda s, o: ["polygonize", s / "mask.tif", o / "houses.gpkg"], ("houses.gpkg",)
    ),
    "evaluate": Job(
        lambda s, o: [
            "evaluate", s / "mask.tif", s / "labels.gpkg", "--matches", o / "matches.geojson",
        ],
        ("matches.geojson",),
    ),
    "sample": Job(
        lambda s, o: ["sample", o, "--size", 128],
        ("scene.tif", "labels.tif", "labels.gpkg"),
    ),
    "train": Job(
        lambda s, o: [
            "train", s / "scene.tif", s / "labels.tif", "-o", o, *materials.TRAIN, "--epochs", 2,
        ],
        RUN,
        interim=RUN,
    ),
}  # fmt: skip


@dataclass
class Injector:
    """Calls of the file system in a folder, counted; one of them fails."""

    folder: Path
    position: int = 0
    fault: str = ""
    counted: mmap.mmap = field(default_factory=lambda: mmap.mmap(-1, 16))

    @property
    def count(self) -> int:
        """Calls so far, also in a child."""
        return int.from_bytes(self.counted[:8], "little")

    @property
    def kept_it_from_tidying(self) -> bool:
        """Whether what failed was to remove something."""
        return bool(self.counted[8])

    def install(self) -> None:
        """Take the place of the calls; to be called in a child."""
        for name in ("replace", "rename", "unlink", "mkdir", "rmdir"):
            setattr(os, name, self._wrapped(getattr(os, name), self._is_ours, name in REMOVING))
        os.fsync = self._wrapped(os.fsync, lambda handle: True)
        os.open = self._wrapped(os.open, self._is_opened_to_write)
        opener = self._wrapped(io.open, self._is_mode_to_write)
        builtins.open = io.open = opener

    def _wrapped(
        self, call: Callable, counts: Callable[..., bool], removes: bool = False
    ) -> Callable:
        def wrapper(*args, **options):
            if counts(*args, **options):
                self._event(removes)
            return call(*args, **options)

        return wrapper

    def _event(self, removes: bool) -> None:
        number = self.count + 1
        self.counted[:8] = number.to_bytes(8, "little")
        if not self.position or number < self.position:
            return
        if self.fault == DIES:
            os._exit(DEAD)
        name, _, goes_on = self.fault.partition(" ")
        if removes and name == "ENOSPC":
            return  # a full disk keeps nobody from that
        if number == self.position or goes_on:
            self.counted[8] |= removes
            code = getattr(errno, name)
            raise OSError(code, os.strerror(code))

    def _is_ours(self, path, *more, dir_fd=None, **options) -> bool:
        return dir_fd is not None or str(Path(path).absolute()).startswith(str(self.folder))

    def _is_opened_to_write(self, path, flags, *more, dir_fd=None, **options) -> bool:
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        return bool(writes) and self._is_ours(path, dir_fd=dir_fd)

    def _is_mode_to_write(self, path, mode="r", *more, **options) -> bool:
        return not isinstance(path, int) and set(mode) & set("wxa+") and self._is_ours(path)


def run_case(job: Job, position: int, fault: str, expected: Path, folder: Path) -> list[str]:
    """The faults after one call of a job has failed, in an empty folder beside the materials."""
    (folder / "out").mkdir()
    injector = Injector(folder, position, fault)
    outcome, faults = run_hindered(job, expected, folder, injector.install)
    if outcome.code != DEAD and not injector.kept_it_from_tidying:
        faults += oracle.unfinished(folder / "out")
    faults += run_again(job, expected, folder)
    return [
        f"{fault} at {position}: {text} [{outcome.code} {outcome.stderr[-300:]}]" for text in faults
    ]


def run_hindered(
    job: Job, expected: Path, folder: Path, hinder: Callable[[], None]
) -> tuple[runner.Outcome, list[str]]:
    """How a job ended that something may hinder, and what is wrong with that."""
    out = folder / "out"
    outcome = runner.run(job.args(folder.parent / "materials", out), hinder)
    faults = [] if outcome.code == DEAD else oracle.faults_of_words(outcome, folder.parent)
    if outcome.code == 0 or not job.interim:
        faults += _wrong(job, out, expected, whole=outcome.code == 0)
    return outcome, faults


def run_again(job: Job, expected: Path, folder: Path) -> list[str]:
    """What is wrong after the same command has been run again, with nothing to hinder it."""
    out = folder / "out"
    args = job.args(folder.parent / "materials", out)
    faults = []
    again = runner.run(args)
    if again.code == 1 and "--overwrite" in again.stderr and _is_whole(job, out):
        again = runner.Outcome(0, "", "")  # all was published
    if again.code != 0:
        faults.append(f"run again: {again.code} {again.stderr}")
    faults += [f"run again: {wrong}" for wrong in _wrong(job, out, expected, whole=True)]
    # Whoever died while the work folder was removed leaves it to the next job on that output.
    left = {path.name for path in out.iterdir() if path.suffix != ".work"} ^ {
        path.name for path in expected.iterdir()
    }
    if left:
        faults.append(f"run again: {', '.join(sorted(left))} are left or missing")
    return faults


def _is_whole(job: Job, out: Path) -> bool:
    return all((out / name).exists() for name in job.outputs)


def _wrong(job: Job, out: Path, expected: Path, *, whole: bool) -> list[str]:
    """Which final names hold something else than they should, or nothing where all should stand."""
    found = {name: out / name for name in job.outputs}
    return [
        f"{name} is {'wrong' if path.exists() else 'missing'}"
        for name, path in found.items()
        if (path.exists() or whole)
        and not (path.exists() and _content(path) == _content(expected / name))
    ]


def _content(path: Path) -> bytes:
    """A file's bytes without the name of its folder, which the options of a run hold."""
    return path.read_bytes().replace(bytes(path.parent), b"")


def expect(name: str, folder: Path, prepare: Callable[[], None] = lambda: None) -> Path:
    """The folder with what a job makes where nothing hinders it."""
    out = folder / f"{name}-expected"
    if out.exists():
        return out
    out.mkdir()
    whole = runner.run(JOBS[name].args(folder / "materials", out), prepare)
    assert whole.code == 0, whole.stderr
    return out


def _count(name: str, folder: Path) -> int:
    """How many calls of a job can fail."""
    injector, out = Injector(folder), folder / f"{name}-counted"
    out.mkdir()
    runner.run(JOBS[name].args(folder / "materials", out), injector.install)
    shutil.rmtree(out)
    return injector.count


def inject(
    jobs: Sequence[str], share: float, seed: int, folder: Path, keep: bool
) -> dict[str, object]:
    """Run a share of all cases of some jobs; how many there were, and their faults."""
    counts, faults = {}, {}
    for name in jobs:
        job, draw = JOBS[name], random.Random(f"{name} {seed}")
        expected = expect(name, folder)
        cases = [(n, fault) for n in range(1, _count(name, folder) + 1) for fault in FAULTS]
        cases = sorted(draw.sample(cases, max(1, round(share * len(cases)))))
        counts[name], faults[name] = len(cases), []
        for position, fault in cases:
            place = folder / f"{name}-{position}-{fault.replace(' ', '-')}"
            place.mkdir()
            found = run_case(job, position, fault, expected, place)
            for text in found:
                print(f"{name} {text}", file=sys.stderr, flush=True)
            faults[name] += found
            if not (keep and found):
                shutil.rmtree(place)
    return {"cases": counts, "faults": faults}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=0.03)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--job", action="append", choices=JOBS)
    parser.add_argument("--keep", type=Path, help="a folder for the files of faulty cases")
    given = parser.parse_args()
    with materials.workplace(given.keep) as place:
        answer = inject(given.job or list(JOBS), given.share, given.seed, place, bool(given.keep))
    print(json.dumps(answer))
