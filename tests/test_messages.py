"""The README's table of messages quotes what the sources say."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
VARIABLE = "\0"


def text_of(node: ast.AST) -> str:
    """A string literal, with VARIABLE for what an f-string or the log puts in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"%[.\d]*[sdgf]", VARIABLE, node.value).replace("%%", "%")
    if isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else VARIABLE for part in node.values)
        return "".join(map(str, parts))
    return ""


def literals() -> set[str]:
    files = [*(ROOT / "geofcn").rglob("*.py"), *(ROOT / "cli").rglob("*.py")]
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    return {text for tree in trees for node in ast.walk(tree) if (text := text_of(node))}


def rows() -> list[str]:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    _, _, table = readme.partition("| message | cause | way out |\n|---|---|---|\n")
    return [line.split(" | ")[0].strip("| `") for line in table.split("\n\n")[0].splitlines()]


def is_quoted(message: str, sources: set[str]) -> bool:
    """Whether a literal says this, with something variable where the message has `...`."""
    said = re.escape(message).replace(re.escape("..."), VARIABLE)
    pattern = re.compile(said.replace(VARIABLE, f"[^\\n]*{VARIABLE}[^\\n]*"))
    return any(pattern.search(text) for text in sources)


@pytest.fixture(scope="module")
def sources():
    return literals()


def test_there_are_messages_in_the_table():
    assert len(rows()) >= 20


@pytest.mark.parametrize("message", rows())
def test_every_message_of_the_readme_is_in_the_sources(message, sources):
    assert is_quoted(message, sources)


@pytest.mark.parametrize(
    "message",
    [
        "...: there is no such file; mend the path.",
        "...: there is ... such file; check the path.",  # nothing variable there
        "it exists already; give --overwrite to replace it. Or not.",
    ],
)
def test_a_message_that_nothing_says_is_found(message, sources):
    assert not is_quoted(message, sources)
