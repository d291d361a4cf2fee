"""Odd files through the real commands: which of them end in what no command may end in.

    python tests/fuzz/fuzz.py [--cases N] [--seed S] [--kind KIND]... [--keep FOLDER]

Case number n of a kind is the same whenever it is run: a fault is looked into by `--first n
--cases 1 --kind KIND --keep FOLDER`. The last line is JSON: how many cases of each kind there were,
and their faults.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import materials
import mutators
import oracle
import runner
from runner import Outcome

THRESHOLD = 0.5


@dataclass(frozen=True)
class Case:
    """A command on files of which one is odd."""

    folder: Path
    odd: Path
    args: Sequence[object]
    # What is wrong with the result, where the command says that all is well; called in a child.
    check: Callable[[Outcome], list[str]]

    @property
    def out(self) -> Path:
        return self.folder / "out"


def _info(scene: Path, *more: object) -> tuple[list, Callable]:
    return ["info", scene, *more, "--json"], lambda o: oracle.wrong_info(scene, o.stdout)


def _infer(scene: Path, model: Path, out: Path, judge: Path | None = None) -> tuple[list, Callable]:
    mask, houses = out / "mask.tif", out / "houses.gpkg"
    args = [
        "infer", scene, mask, "--model", model, "--polygons", houses, "--outline", "raw",
        "--min-area", 0, "--allow-no-crs", "--threshold", THRESHOLD, "--tile", 32,
    ]  # fmt: skip
    return (
        args,
        lambda o: (
            oracle.wrong_mask(scene, judge or model, mask, THRESHOLD)
            + oracle.wrong_polygons(mask, houses)
        ),
    )


def _train(scene: Path, labels: Path, out: Path) -> tuple[list, Callable]:
    run = out / "run"
    args = ["train", scene, labels, "-o", run, *materials.TRAIN[:-1], "--epochs", 1]
    return args, lambda o: oracle.wrong_model(run, scene)


def _polygonize(mask: Path, out: Path) -> tuple[list, Callable]:
    houses = out / "houses.fgb"
    args = ["polygonize", mask, houses, "--outline", "raw", "--min-area", 0, "--allow-no-crs"]
    return args, lambda o: oracle.wrong_polygons(mask, houses)


def scene_case(draw: random.Random, folder: Path, odd: Path) -> tuple[list, Callable]:
    """An odd scene."""
    source, out = folder / "in", folder / "out"
    return draw.choice((
        _info(odd),
        _info(odd, source / "labels.tif", "--model", source / "model.safetensors"),
        _infer(odd, source / "model.safetensors", out),
        _infer(odd, source / "model.safetensors", out),
        _train(odd, source / "labels.tif", out),
    ))  # fmt: skip


def mask_case(draw: random.Random, folder: Path, odd: Path) -> tuple[list, Callable]:
    """An odd mask, as prediction, as labels or to make polygons of."""
    source, out = folder / "in", folder / "out"
    one, other = draw.sample((odd, source / "labels.tif"), 2)
    return draw.choice((
        _polygonize(odd, out),
        (["evaluate", one, other, "--json"],
         lambda o: oracle.wrong_pixel_scores(one, other, o.stdout)),
        _train(source / "scene.tif", odd, out),
    ))  # fmt: skip


def vector_case(draw: random.Random, folder: Path, odd: Path) -> tuple[list, Callable]:
    """Odd polygons, as labels or as prediction."""
    source, out = folder / "in", folder / "out"
    sound = next(source / name for name in ("labels.geojson", "labels.gpkg") if name != odd.name)
    one, other = draw.sample((odd, sound), 2)
    return draw.choice((
        (["evaluate", one, other, "--matches", out / "matches.gpkg", "--json"],
         lambda o: oracle.wrong_house_counts(one, other, o)),
        (["evaluate", one, other, "--json"], lambda o: oracle.wrong_house_counts(one, other, o)),
        (["evaluate", source / "mask.tif", odd, "--json"],
         lambda o: oracle.wrong_burnt_labels(source / "mask.tif", odd, o)),
        _info(source / "scene.tif", odd),
        _train(source / "scene.tif", odd, out),
    ))  # fmt: skip


def model_case(draw: random.Random, folder: Path, odd: Path) -> tuple[list, Callable]:
    """An odd model."""
    source, out = folder / "in", folder / "out"
    taught = _train(source / "scene.tif", source / "labels.tif", out)
    return draw.choice((
        _infer(source / "scene.tif", odd, out, materials_of(folder) / "model.safetensors"),
        _info(source / "scene.tif", "--model", odd),
        (["train", source / "scene.tif", source / "labels.tif", "-o", out / "run", "--from", odd,
          "--epochs", 1, "--tile", 32], taught[1]),
    ))  # fmt: skip


def checkpoint_case(draw: random.Random, folder: Path, odd: Path) -> tuple[list, Callable]:
    """An odd state of a training, which goes on from it."""
    run = folder / "out" / "run"
    shutil.copytree(folder / "in" / "run", run)
    shutil.move(odd, run / odd.name)
    extended = materials_of(folder).with_name("extended")
    args = ["train", "--resume", run, "--epochs", 2]
    return args, lambda o: oracle.other_weights(run, extended)


def materials_of(folder: Path) -> Path:
    """The sound files of a case."""
    return folder.parent / "materials"


TIFF = (*mutators.BYTES, *[mutators.tiff_tag] * 8)
# Of each kind: the files of which one is made odd, how, and what is done with it.
KINDS: dict[str, tuple[Sequence[str], Sequence[mutators.Mutator], Callable]] = {
    "scene": (("scene.tif", "plain.tif"), TIFF, scene_case),
    "mask": (("mask.tif", "labels.tif"), TIFF, mask_case),
    "vrt": (("scene.vrt",), (*mutators.BYTES, *[mutators.xml_token] * 12), scene_case),
    "geojson": (
        ("labels.geojson",), (*mutators.BYTES, *[mutators.json_value] * 12), vector_case,
    ),
    "geopackage": (
        ("labels.gpkg",),
        (*mutators.BYTES, *[mutators.sqlite_value] * 8, *[mutators.sqlite_page] * 2),
        vector_case,
    ),
    "shapefile": (("labels.shp",), (mutators.part,), vector_case),
    "model": (
        ("model.safetensors",),
        (*mutators.BYTES, *[mutators.safetensors_header] * 8),
        model_case,
    ),
    "checkpoint": (
        ("run/finished.safetensors",),
        (*mutators.BYTES, *[mutators.safetensors_header] * 8),
        checkpoint_case,
    ),
}  # fmt: skip


def run_case(kind: str, number: int, seed: int, folder: Path) -> list[str]:
    """The faults of one case, made in an empty folder beside the materials."""
    names, changes, make_case = KINDS[kind]
    draw = random.Random(f"{kind} {number} {seed}")
    shutil.copytree(materials_of(folder), folder / "in")
    (folder / "out").mkdir()
    odd = folder / "in" / draw.choice(names)
    did = draw.choice(changes)(draw, odd)
    args, check = make_case(draw, folder, odd)
    before = oracle.snapshot(folder / "in")
    outcome = runner.run(args)
    faults = oracle.faults_of_words(outcome, folder)
    if oracle.snapshot(folder / "in") != before:
        faults.append("an input has changed, or something is left beside it")
    faults += oracle.unfinished(folder)
    final = [path.name for path in (folder / "out").iterdir() if not path.name.startswith(".")]
    if outcome.code and set(final) - {"run"}:
        faults.append(f"{', '.join(final)} in spite of an error")
    if outcome.code == 0:
        wrong = runner.in_child(lambda: check(outcome))
        if isinstance(wrong, str):
            wrong = [f"it cannot be checked: {wrong.strip().splitlines()[-1]}"]
        faults += [f"WRONG BUT SILENT: {fault}" for fault in wrong]
    said = " ".join(map(str, args)).replace(str(folder), "")
    return [f"{kind} {number}: {fault} [{did}; {said}] {outcome.stderr[-400:]}" for fault in faults]


def fuzz(kinds: Sequence[str], first: int, cases: int, seed: int, folder: Path, keep: bool) -> dict:
    """Run cases of some kinds beside the materials; how many there were, and their faults."""
    shutil.copytree(folder / "materials" / "run", folder / "extended")
    extended = runner.run(["train", "--resume", folder / "extended", "--epochs", 2])
    assert extended.code == 0, extended.stderr
    faults: dict[str, list[str]] = {}
    for kind in kinds:
        faults[kind] = []
        for number in range(first, first + cases):
            place = folder / f"{kind}-{number}"
            place.mkdir()
            found = run_case(kind, number, seed, place)
            for fault in found:
                print(fault, file=sys.stderr, flush=True)
            faults[kind] += found
            if not (keep and found):
                shutil.rmtree(place)
    return {"cases": cases, "faults": faults}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10, help="of each kind")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", action="append", choices=KINDS)
    parser.add_argument("--keep", type=Path, help="a folder for the files of faulty cases")
    given = parser.parse_args()
    kinds = given.kind or list(KINDS)
    with materials.workplace(given.keep) as place:
        answer = fuzz(kinds, given.first, given.cases, given.seed, place, bool(given.keep))
    print(json.dumps(answer))
