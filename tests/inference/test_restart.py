"""Inference that is stopped and started again: by SIGKILL at any moment, by Ctrl-C."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import geopandas
import numpy as np
import pytest

from geofcn.core.calibration import Calibration
from geofcn.models.model_file import save_model

COMPUTE = 16
BANDS, COLUMNS = 3, 3  # compute windows down and across the scene
OUTPUTS = ("mask.tif", "probability.tif", "houses.gpkg")


@dataclass
class Answer:
    """Of the fork server: how a command ended, what it said, and how often it did what."""

    code: int
    stderr: str
    events: Counter


class ForkServer:
    """A process of fork_server.py, and the commands it is asked to run; see there."""

    def __init__(self, folder: Path):
        self.folder = folder
        script = Path(__file__).parents[1] / "support" / "fork_server.py"
        root = script.parents[1]
        self.process = subprocess.Popen(
            [sys.executable, script, str(COMPUTE), "fcnn2"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
        )

    def run(self, *args, **request) -> Answer:
        log = self.folder / "log"
        log.unlink(missing_ok=True)
        log.touch()
        request = {"args": [str(arg) for arg in args], "log": str(log), **request}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        stderr = log.with_name("log.err").read_text()
        assert "Traceback" not in stderr
        events = Counter(line.split()[0] for line in log.read_text().splitlines())
        return Answer(answer["code"], stderr, events)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=30)
        self.process.stdout.close()


class Workplace:
    """A folder with a scene and a model, and the fork server that runs `geofcn infer` on them."""

    def __init__(self, folder: Path, fork_server: ForkServer):
        self.folder, self.fork_server = folder, fork_server
        self.out = folder / "out"
        self.scene, self.model = folder / "scene.tif", folder / "model.safetensors"
        self.work = self.out / ".mask.tif.work"

    def infer(self, *more, **request) -> Answer:
        mask, probability, houses = (self.out / name for name in OUTPUTS)
        threshold = () if "--threshold" in more else ("--threshold", "model")
        return self.fork_server.run(
            "infer", self.scene, mask, "--model", self.model, "--probability", probability,
            "--polygons", houses, "--outline", "raw", "--min-area", 0,
            "--tile", 2 * COMPUTE, *threshold, *more, **request,
        )  # fmt: skip

    def clear(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()

    def outputs(self) -> dict:
        """What stands under the final names: the rasters' bytes, the polygons' features."""
        paths = {name: self.out / name for name in OUTPUTS if (self.out / name).exists()}
        return {
            name: geopandas.read_file(path, layer="houses").to_json() if path.suffix == ".gpkg" else
            path.read_bytes() for name, path in paths.items()
        }  # fmt: skip

    def shards(self) -> int:
        return len(list(self.work.glob("*.shard")))


@pytest.fixture(scope="module")
def fork_server(tmp_path_factory):
    fork_server = ForkServer(tmp_path_factory.mktemp("fork_server"))
    yield fork_server
    fork_server.close()


@pytest.fixture
def workplace(tmp_path, fork_server, make_model, write_raster) -> Workplace:
    """A scene of BANDS x COLUMNS compute windows, of which none is blank as a whole."""
    shape = (3, BANDS * COMPUTE - 3, COLUMNS * COMPUTE - 5)
    image = np.random.default_rng(1).integers(0, 255, shape, np.uint8)
    image[:, 20:30, 20:30] = 0
    write_raster("scene.tif", image, nodata=0)
    model = make_model("fcnn2", seed=3, calibration=Calibration(1.5, -0.5, 0.2))
    save_model(model, tmp_path / "model.safetensors")
    workplace = Workplace(tmp_path, fork_server)
    workplace.clear()
    return workplace


def test_killed_at_every_sync_and_every_rename(workplace):
    whole = workplace.infer()
    assert whole.code == 0
    expected = workplace.outputs()
    assert set(expected) == set(OUTPUTS)
    among = ["fsync", "rename"]
    moments = sum(whole.events[name] for name in among)
    assert moments >= 2 * (BANDS + 1 + len(OUTPUTS))
    for moment in range(1, moments + 1):
        workplace.clear()
        killed = workplace.infer(signal=signal.SIGKILL, among=among, event=moment)
        assert killed.code == -signal.SIGKILL
        _is_right_and_can_go_on(workplace, expected)


def test_killed_at_random_moments(workplace):
    start = time.monotonic()
    workplace.infer()
    seconds = time.monotonic() - start
    expected = workplace.outputs()
    draw = random.Random(7)
    windows, shards = set(), set()
    for _ in range(12):
        workplace.clear()
        delay = draw.uniform(0, seconds)
        killed = workplace.infer(signal=signal.SIGKILL, among=["window"], event=1, delay=delay)
        windows.add(killed.events["window"])
        shards.add(workplace.shards())
        _is_right_and_can_go_on(workplace, expected)
    assert len(windows) + len(shards) > 2, "the moments lie in different places of the work"


def _is_right_and_can_go_on(workplace: Workplace, expected: dict) -> None:
    """After a kill every final name is absent or right, and the same command ends as ever."""
    before = workplace.outputs()
    assert before == {name: expected[name] for name in before}
    if "mask.tif" in before:
        # The mask is published last: the job was done.
        assert set(before) == set(expected)
        assert "--overwrite" in workplace.infer().stderr
        return
    shards = workplace.shards()
    again = workplace.infer()
    assert again.code == 0, again.stderr
    assert again.events["window"] == (BANDS - shards) * COLUMNS, "no finished band is done again"
    assert "another job" not in again.stderr
    assert workplace.outputs() == expected
    assert sorted(path.name for path in workplace.out.iterdir()) == sorted(OUTPUTS)


def test_killed_again_and_again(workplace):
    workplace.infer()
    expected = workplace.outputs()
    workplace.clear()
    for done in range(BANDS + 1):
        killed = workplace.infer(signal=signal.SIGKILL, among=["rename"], event=2)
        assert killed.code == -signal.SIGKILL
        assert killed.events["window"] <= (BANDS - max(0, done - 1)) * COLUMNS
        assert workplace.shards() == done
    last = workplace.infer()
    assert last.events["window"] == 0
    assert workplace.outputs() == expected


def test_killed_while_the_threshold_of_the_scene_is_looked_for_and_used(workplace):
    """Shards hold probabilities only: the outputs are made once all of them stand."""
    scene = ("--threshold", "scene")
    whole = workplace.infer(*scene)
    assert whole.code == 0, whole.stderr
    expected = workplace.outputs()
    workplace.clear()
    # Renamed are the job, its shards, the claim, the outputs: killed among shards, before the
    # claim and before the mask.
    for moment in (3, BANDS + 2, whole.events["rename"]):
        killed = workplace.infer(*scene, signal=signal.SIGKILL, among=["rename"], event=moment)
        assert killed.code == -signal.SIGKILL
        before, shards = workplace.outputs(), workplace.shards()
        assert before == {name: expected[name] for name in before}
        assert shards == min(moment - 2, BANDS)
        again = workplace.infer(*scene)
        assert again.code == 0, again.stderr
        assert again.events["window"] == (BANDS - shards) * COLUMNS
        assert workplace.outputs() == expected
        workplace.clear()


def _left_unfinished(workplace: Workplace) -> None:
    killed = workplace.infer(signal=signal.SIGKILL, among=["rename"], event=4)
    assert killed.code == -signal.SIGKILL
    assert workplace.shards() == 2


def test_finished_blocks_of_other_options_are_kept_until_they_may_be_overwritten(workplace):
    _left_unfinished(workplace)
    refused = workplace.infer("--threshold", 0.4)
    assert refused.code == 1 and refused.events["window"] == 0
    assert "2 finished block(s) of an unfinished job with another --threshold" in refused.stderr
    assert "--overwrite" in refused.stderr and workplace.shards() == 2
    answer = workplace.infer("--threshold", 0.4, "--overwrite")
    assert answer.code == 0 and "another job" in answer.stderr
    assert answer.events["window"] == BANDS * COLUMNS


def test_of_a_scene_that_has_changed_since_it_starts_afresh_and_says_so(workplace, write_raster):
    """The same options would not bring back what the blocks are of."""
    _left_unfinished(workplace)
    image = np.random.default_rng(2).integers(1, 255, (3, 45, 43), np.uint8)
    write_raster("scene.tif", image, nodata=0)
    answer = workplace.infer("--threshold", 0.4)
    assert answer.code == 0
    assert "another job" in answer.stderr and ".mask.tif.work" in answer.stderr
    assert answer.events["window"] == BANDS * COLUMNS
    restarted = workplace.outputs()
    workplace.clear()
    workplace.infer("--threshold", 0.4)
    assert workplace.outputs() == restarted


def test_what_changes_no_pixel_goes_on(workplace):
    _left_unfinished(workplace)
    answer = workplace.infer("--tile", 1, "--co", "COMPRESS=ZSTD", "--min-area", 2)
    assert answer.code == 0
    assert f"2 of {BANDS} blocks are done already" in answer.stderr
    assert answer.events["window"] == (BANDS - 2) * COLUMNS


def test_overwrite_goes_on_with_the_same_job(workplace):
    workplace.infer()
    expected = workplace.outputs()
    refused = workplace.infer()
    assert refused.code == 1 and "--overwrite" in refused.stderr
    killed = workplace.infer("--overwrite", signal=signal.SIGKILL, among=["rename"], event=4)
    assert killed.code == -signal.SIGKILL
    assert workplace.outputs() == expected, "the old outputs stand until the new ones are ready"
    again = workplace.infer("--overwrite")
    assert again.events["window"] == (BANDS - 2) * COLUMNS
    assert workplace.outputs() == expected


def test_a_file_that_is_not_the_jobs_own_is_kept(workplace):
    """A killed job may replace what it published itself, not what was put there meanwhile."""
    _left_unfinished(workplace)
    (workplace.out / "probability.tif").write_text("mine")
    answer = workplace.infer()
    assert answer.code == 1
    assert "probability.tif" in answer.stderr and "--overwrite" in answer.stderr
    assert (workplace.out / "probability.tif").read_text() == "mine"


def test_a_signal_to_end_leaves_the_work_folder_only(workplace):
    ended = workplace.infer(signal=signal.SIGTERM, among=["rename"], event=3, pause=0.02)
    assert ended.code == 128 + signal.SIGTERM
    assert "same command again" in ended.stderr
    assert [path.name for path in workplace.out.iterdir()] == [workplace.work.name]
    assert workplace.infer().code == 0


@pytest.mark.parametrize("event", [1, 5, BANDS * COLUMNS])
def test_ctrl_c_stops_at_once_and_says_how_to_go_on(workplace, event):
    stopped = workplace.infer(signal=signal.SIGINT, among=["window"], event=event, pause=0.3)
    assert stopped.code == 130
    assert stopped.events["window"] < BANDS * COLUMNS or event == BANDS * COLUMNS, "what is left"
    shards = workplace.shards()
    kept = f"Stopped; {shards} of {BANDS} blocks are kept; run the same command again to go on."
    assert kept in stopped.stderr
    assert [path.name for path in workplace.out.iterdir()] == [workplace.work.name]
    again = workplace.infer()
    assert again.code == 0
    assert again.events["window"] == (BANDS - shards) * COLUMNS
