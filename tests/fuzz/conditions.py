"""Commands in odd conditions: two at once, no room, no home, odd names, a clock that was set back.

    python tests/fuzz/conditions.py [--condition NAME]... [--times N] [--keep FOLDER]

Most are tried N times, with random numbers of their own. The last line is JSON: the faults by
condition.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import injection
import materials
import numpy as np
import oracle
import rasterio
import runner
from injection import JOBS

REFUSALS = ("another geofcn", "exists already", "it holds a run", "unfinished training")
UMASKS = (0o077, 0o000)
NAMES = ("schön ÄÖ", "m\udcf6", "a;b!c", "-x", "%20", "[a]*?", "a'\"b", "\n", ".hidden")
NOBODY = 65534


def two_at_once(name: str, folder: Path, draw: random.Random) -> list[str]:
    """Two of one command: one makes it all, the other makes the same or is refused."""
    job, expected = JOBS[name], folder.parent / f"{name}-expected"
    (folder / "out").mkdir()
    args = job.args(folder.parent / "materials", folder / "out")
    delay = draw.choice((0, 0, draw.uniform(0, 1)))

    both = runner.start(args), runner.start(args, lambda: time.sleep(delay))
    outcomes = [runner.wait(one) for one in both]
    faults = [fault for one in outcomes for fault in oracle.faults_of_words(one, folder.parent)]
    failed = [one for one in outcomes if one.code]
    if len(failed) > 1 or any(not _is_refusal(one.stderr) for one in failed):
        faults.append(f"{[(one.code, one.stderr) for one in outcomes]}")
    return faults + injection._wrong(job, folder / "out", expected, whole=True)


def _is_refusal(text: str) -> bool:
    return any(refusal in text for refusal in REFUSALS)


def no_large_files(name: str, folder: Path, draw: random.Random) -> list[str]:
    """No file may be larger than some bytes: writing fails anywhere, also in C."""
    job, expected = JOBS[name], folder.parent / f"{name}-expected"
    (folder / "out").mkdir()
    most = draw.choice((1, 100, 512, 1024, draw.randrange(1, 20_000), draw.randrange(1, 200_000)))

    def hinder() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

    outcome, faults = injection.run_hindered(job, expected, folder, hinder)
    faults += oracle.unfinished(folder / "out") + injection.run_again(job, expected, folder)
    return [f"{most} bytes: {fault} [{outcome.stderr[-300:]}]" for fault in faults]


def full_disk(name: str, folder: Path, draw: random.Random) -> list[str]:
    """The output's disk has room for some bytes."""
    job, expected = JOBS[name], folder.parent / f"{name}-expected"
    out = folder / "out"
    out.mkdir()
    kilobytes = 4 * draw.randrange(1, draw.choice((6, 30, 200)))
    inodes = draw.choice((100, 100, draw.randrange(2, 12)))
    size = f"size={kilobytes}k,nr_inodes={inodes}"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", out], check=False).returncode:
        return []  # only root may
    try:
        outcome, faults = injection.run_hindered(job, expected, folder, lambda: None)
        faults += oracle.unfinished(out)
        room = ["mount", "-o", "remount,size=100m,nr_inodes=1000", out]
        subprocess.run(room, check=True)
        faults += injection.run_again(job, expected, folder)
    finally:
        subprocess.run(["umount", "-l", out], check=True)
    return [f"{size}: {fault} [{outcome.code} {outcome.stderr[-300:]}]" for fault in faults]


def not_allowed(name: str, folder: Path, draw: random.Random) -> list[str]:
    """The output's folder cannot be written."""
    out = folder / "out"
    out.mkdir(mode=0o555)

    def become_nobody() -> None:
        if os.geteuid() == 0:
            os.setuid(NOBODY)

    args = JOBS[name].args(folder.parent / "materials", out)
    outcome = runner.run(args, become_nobody)
    faults = oracle.faults_of_words(outcome, folder.parent)
    if outcome.code != 1 or list(out.iterdir()):
        faults.append(f"{outcome}")
    return faults


def modes(name: str, folder: Path, draw: random.Random) -> list[str]:
    """What is written has the mode that the umask gives it."""
    out, mask = folder / "out", draw.choice(UMASKS)
    out.mkdir()
    args = JOBS[name].args(folder.parent / "materials", out)
    outcome = runner.run(args, lambda: os.umask(mask) and None)
    faults = oracle.faults_of_words(outcome, folder.parent)
    for path in out.rglob("*"):
        mode, wanted = path.stat().st_mode & 0o777, (0o777 if path.is_dir() else 0o666) & ~mask
        if mode != wanted:
            faults.append(f"umask {mask:o}: {path.name} has mode {mode:o}")
    return faults


def homeless(name: str, folder: Path, draw: random.Random) -> list[str]:
    """There is no home, no folder for temporary files, no terminal's name."""
    (folder / "out").mkdir()

    def hinder() -> None:
        for variable in ("HOME", "TMPDIR", "USER", "LOGNAME", "TERM", "PATH", "XDG_CACHE_HOME"):
            os.environ.pop(variable, None)

    expected = folder.parent / f"{name}-expected"
    outcome, faults = injection.run_hindered(JOBS[name], expected, folder, hinder)
    return faults if outcome.code == 0 else [*faults, outcome.stderr]


def odd_names(name: str, folder: Path, draw: random.Random) -> list[str]:
    """Inputs and outputs lie in folders of odd names: it works, or is one sentence."""
    odd = folder / draw.choice(NAMES)
    source, out = odd / "in", odd / "out"
    odd.mkdir()
    out.mkdir()
    shutil.copytree(folder.parent / "materials", source)
    outcome = runner.run([os.fspath(arg) if isinstance(arg, Path) else arg
                          for arg in JOBS[name].args(source, out)])  # fmt: skip
    faults = oracle.faults_of_words(outcome, folder.parent)
    if outcome.code == 0 and not all((out / part).exists() for part in JOBS[name].outputs):
        faults.append("outputs are missing")
    if outcome.code:
        faults += [f"{path.name} is left" for path in out.iterdir()]
    return [f"{odd.name!r}: {fault} [{outcome.stderr[-300:]}]" for fault in faults]


def scene_of_another_time(name: str, folder: Path, draw: random.Random) -> list[str]:
    """A killed job finds another scene of the same size and time: nothing of both is mixed."""
    source, out = folder / "materials", folder / "out"
    shutil.copytree(folder.parent / "materials", source)
    out.mkdir()
    job = JOBS[name]
    counting = injection.Injector(folder)
    place = folder / "count"
    place.mkdir()
    runner.run(job.args(source, place), counting.install)
    injector = injection.Injector(folder, draw.randint(1, counting.count), injection.DIES)
    runner.run(job.args(source, out), injector.install)
    for odd in ("scene.tif", "mask.tif"):
        failed = runner.in_child(lambda path=source / odd: _change_pixels(path))
        assert failed is None, failed
    again = runner.run([*job.args(source, out), *_overwrite(job, out)])
    fresh = folder / "fresh"
    fresh.mkdir()
    whole = runner.run(job.args(source, fresh))
    faults = oracle.faults_of_words(again, folder.parent)
    if whole.code == again.code == 0:
        faults += injection._wrong(job, out, fresh, whole=True)
    return [f"killed at {injector.position}: {fault}, {again.stderr}" for fault in faults]


def _overwrite(job: injection.Job, out: Path) -> list[str]:
    return ["--overwrite"] if any((out / name).exists() for name in job.outputs) else []


def _change_pixels(path: Path) -> None:
    """Turn a raster upside down in place, and set its time back to what it was."""
    status = path.stat()
    with rasterio.open(path, "r+") as file:
        file.write(np.ascontiguousarray(file.read()[:, ::-1]))
    with open(path, "r+b") as file:
        file.truncate(status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


CONDITIONS: dict[str, Callable[[str, Path, random.Random], list[str]]] = {
    condition.__name__: condition
    for condition in (
        two_at_once, no_large_files, full_disk, not_allowed, modes, homeless, odd_names,
        scene_of_another_time,
    )
}  # fmt: skip


def run(
    conditions: Sequence[str], jobs: Sequence[str], times: int, seed: int, folder: Path, keep: bool
) -> dict[str, dict]:
    """Try some jobs some times in each condition; the faults by condition."""
    for name in jobs:
        injection.expect(name, folder)
    faults: dict[str, list[str]] = {condition: [] for condition in conditions}
    for condition in conditions:
        for number in range(times):
            for name in jobs:
                place = folder / f"{condition}-{name}-{number}"
                place.mkdir()
                draw = random.Random(f"{condition} {name} {number} {seed}")
                found = CONDITIONS[condition](name, place, draw)
                for fault in found:
                    print(condition, name, ascii(fault), file=sys.stderr, flush=True)
                faults[condition] += [f"{name}: {fault}" for fault in found]
                if not (keep and found):
                    shutil.rmtree(place)
    return {"cases": {condition: times * len(jobs) for condition in conditions}, "faults": faults}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--condition", action="append", choices=CONDITIONS)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a folder for the files of faulty cases")
    given = parser.parse_args()
    wanted = given.condition or list(CONDITIONS)
    with materials.workplace(given.keep) as place:
        place.chmod(0o755)  # other users are tried as well
        answer = run(wanted, list(JOBS), given.times, given.seed, place, bool(given.keep))
    print(json.dumps(answer))
