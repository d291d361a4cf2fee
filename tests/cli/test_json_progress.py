import json

import pytest

from geofcn_cli.json_progress import json_lines


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_every_percent_is_a_line_and_no_more(capsys):
    with json_lines("inference", 1000, "px") as bar:
        for _ in range(1000):
            bar.advance(1)
    answer, told = capsys.readouterr()
    assert answer == ""
    assert [line["done"] for line in lines(told)] == list(range(0, 1001, 10))
    first = {"step": "inference", "total": 1000, "unit": "px", "done": 0, "figures": {}}
    assert lines(told)[0] == first


def test_figures_come_along_as_far_as_json_knows_them(capsys):
    with json_lines("training", 2, "tiles") as bar:
        bar.advance(1, loss=0.5, f1=float("nan"))
    assert lines(capsys.readouterr().err)[-1]["figures"] == {"loss": 0.5}


def test_a_step_of_nothing_is_done(capsys):
    with json_lines("matching", 0, "houses"):
        pass
    (line,) = lines(capsys.readouterr().err)
    assert (line["done"], line["total"]) == (0, 0)


@pytest.mark.parametrize("value, quiet, told", [("json", [], 2), ("json", ["-q"], 0), ("", [], 0)])
def test_a_program_asks_for_it_by_the_environment(
    geofcn_command, tmp_path, monkeypatch, value, quiet, told
):
    monkeypatch.setenv("GEOFCN_PROGRESS", value)
    result = geofcn_command("sample", tmp_path / "s", "--size", 128, *quiet)
    steps = [line for line in result.stderr.splitlines() if line.startswith("{")]
    assert len(steps) == told
