"""What makes a sound file odd: each takes its random numbers and a path, and says what it did."""

from __future__ import annotations

import json
import random
import re
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

Mutator = Callable[[random.Random, Path], str]

# What stands where a number, a name or a text is expected.
ODD_TEXTS = (
    "", "0", "-1", "1", "2", "255", "65536", "4294967296", "1e308", "-1e308", "nan", "inf", "1e-9",
    "0.5", "none", "\u00e9", "\u202e", "a" * 5000, "../../etc/passwd", "/dev/zero", "%s%n", "&#10;",
    "9" * 400,
)  # fmt: skip
ODD_VALUES = (
    None, True, 0, -1, 1, 3, 2**31, 2**63, 1e308, -1e-300, 1e999, "", "a", "\x1b[2J", "\n", [], {},
    [[]], [0], ["a"], {"a": 1}, [1e308, 1e308], "EPSG:0", "a" * 5000,
)  # fmt: skip
ODD_NUMBERS = (0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 32, 255, 256, 32767, 32768, 65535, 2**31, 2**32 - 1)
TIFF_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}


def flip(draw: random.Random, path: Path) -> str:
    """Some bits are others."""
    content = bytearray(path.read_bytes())
    places = [draw.randrange(len(content)) for _ in range(draw.choice((1, 1, 2, 8, 64)))]
    for place in places:
        content[place] ^= 1 << draw.randrange(8)
    path.write_bytes(content)
    return f"bits flipped at {sorted(places)[:8]}"


def cut(draw: random.Random, path: Path) -> str:
    """The end is missing."""
    content = path.read_bytes()
    length = draw.choice((0, 1, 8, len(content) - 1, draw.randrange(len(content))))
    path.write_bytes(content[:length])
    return f"cut to {length} bytes"


def swap(draw: random.Random, path: Path) -> str:
    """Two blocks have changed places."""
    content = bytearray(path.read_bytes())
    size = min(draw.choice((4, 16, 256, 4096)), len(content) // 2)
    first, second = (draw.randrange(len(content) - size + 1) for _ in range(2))
    block = bytes(content[first : first + size])
    content[first : first + size] = content[second : second + size]
    content[second : second + size] = block
    path.write_bytes(content)
    return f"{size} bytes at {first} and {second} swapped"


def zero(draw: random.Random, path: Path) -> str:
    """A hole, as a full disk or a sparse copy leaves one."""
    content = bytearray(path.read_bytes())
    size = min(draw.choice((1, 4, 64, 4096)), len(content))
    place = draw.randrange(len(content) - size + 1)
    content[place : place + size] = bytes(size)
    path.write_bytes(content)
    return f"{size} bytes at {place} are 0"


def grow(draw: random.Random, path: Path) -> str:
    """A part stands there twice."""
    content = path.read_bytes()
    place = draw.randrange(len(content))
    part = content[place : place + draw.choice((1, 16, 1000))]
    path.write_bytes(content[:place] + part + content[place:])
    return f"{len(part)} bytes at {place} doubled"


BYTES: tuple[Mutator, ...] = (flip, flip, cut, swap, zero, grow)


def tiff_tag(draw: random.Random, path: Path) -> str:
    """A tag of the first directory of a classic little-endian TIFF has an odd value."""
    content = bytearray(path.read_bytes())
    (directory,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, directory)
    place = directory + 2 + 12 * draw.randrange(count)
    tag, kind, length, value = struct.unpack_from("<HHII", content, place)
    what = draw.choice(("value", "value", "value", "inside", "length", "type", "tag"))
    odd = draw.choice(ODD_NUMBERS)
    if what == "inside" and TIFF_TYPE_BYTES.get(kind, 1) * length > 4:
        size = TIFF_TYPE_BYTES.get(kind, 1)
        inside = value + size * draw.randrange(length)
        if size == 8:
            struct.pack_into("<d", content, inside, draw.choice((0.0, -1.0, 1e308, float("nan"))))
        else:
            content[inside : inside + size] = (odd % 256**size).to_bytes(size, "little")
    elif what == "length":
        length = odd
    elif what == "type":
        kind = draw.randrange(20)
    elif what == "tag":
        tag = draw.choice((254, 256, 258, 259, 262, 277, 284, 317, 320, 338, 339, 42112, 42113))
    else:
        value = odd
    struct.pack_into("<HHII", content, place, tag, kind, length, value)
    path.write_bytes(content)
    return f"TIFF tag {tag}: {what} is odd ({kind}, {length}, {value})"


def xml_token(draw: random.Random, path: Path) -> str:
    """An attribute's or an element's text is odd, or an element is missing or there twice."""
    text = path.read_text()
    what = draw.choice(("text", "text", "text", "without", "twice"))
    pattern = r'(?<=")[^"<>]*(?=")|(?<=>)[^<>]+(?=<)' if what == "text" else r"<(\w+)[^>]*>.*?</\1>"
    found = draw.choice(list(re.finditer(pattern, text, re.DOTALL)))
    put = {"text": draw.choice(ODD_TEXTS), "without": "", "twice": found[0] * 2}[what]
    path.write_text(text[: found.start()] + put + text[found.end() :])
    return f"XML {found[0][:60]!r} is {what}: {put[:60]!r}"


def json_value(draw: random.Random, path: Path) -> str:
    """A value anywhere in a JSON document is odd, missing or there twice."""
    document = json.loads(path.read_text())
    did = _odd_value(draw, document)
    path.write_text(json.dumps(document))
    return did


def _odd_value(draw: random.Random, document: dict | list) -> str:
    places = list(_places(document))
    holder, key = draw.choice(places)
    what = draw.choice(("odd", "odd", "odd", "without", "twice"))
    said = f"JSON {key!r}: {json.dumps(holder[key])[:60]} is {what}"
    if what == "odd":
        holder[key] = draw.choice(ODD_VALUES)
        said += f": {json.dumps(holder[key])[:60]}"
    elif what == "twice" and isinstance(holder, list):
        holder.insert(key, holder[key])
    else:
        del holder[key]
    return said


def _places(node: object):
    pairs = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in list(pairs):
        yield node, key
        if isinstance(value, dict | list):
            yield from _places(value)


def sqlite_value(draw: random.Random, path: Path) -> str:
    """A cell of a table is odd, or a row or a table is missing."""
    with closing(sqlite3.connect(path)) as file:
        # Triggers of a GeoPackage call functions that SQLite alone lacks.
        for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type='trigger'"):
            file.execute(f'DROP TRIGGER "{name}"')
        tables = [
            name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type='table'")
            if not name.startswith(("sqlite_", "rtree_"))
        ]  # fmt: skip
        table = draw.choice(tables)
        columns = [row[1] for row in file.execute(f'PRAGMA table_info("{table}")')]
        column = draw.choice(columns)
        what = draw.choice(("odd", "odd", "odd", "odd", "row", "table"))
        value: object = draw.choice((*ODD_TEXTS, *ODD_NUMBERS, None, b"", b"GP\0\1" + bytes(50)))
        try:
            if what == "table":
                file.execute(f'DROP TABLE "{table}"')
            elif what == "row":
                file.execute(
                    f'DELETE FROM "{table}" WHERE rowid = (SELECT min(rowid) FROM "{table}")'
                )
            else:
                file.execute(f'UPDATE "{table}" SET "{column}" = ?', (value,))
        except sqlite3.Error as error:
            return f"nothing ({error})"
        file.commit()
    return f"SQLite {table}.{column}: {what}, {str(value)[:40]!r}"


def sqlite_page(draw: random.Random, path: Path) -> str:
    """Two pages of a database have changed places, or one is 0."""
    content, page = bytearray(path.read_bytes()), 4096
    first, second = (page * draw.randrange(len(content) // page) for _ in range(2))
    kept = bytes(content[first : first + page])
    content[first : first + page] = (
        content[second : second + page] if first != second else b"\0" * page
    )
    if first != second:
        content[second : second + page] = kept
    path.write_bytes(content)
    return f"SQLite pages at {first} and {second} swapped"


def safetensors_header(draw: random.Random, path: Path) -> str:
    """A value of the header, or of the JSON in its metadata, is odd."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    inner = next((key for key in header["__metadata__"] if key.startswith("geofcn")), None)
    if inner and draw.random() < 0.6:
        document = json.loads(header["__metadata__"][inner])
        did = _odd_value(draw, document)
        header["__metadata__"][inner] = json.dumps(document)
        if draw.random() < 0.7:  # as an older version or a stranger writes it
            del header["__metadata__"]["crc32"]
            did += ", without checksum"
    else:
        did = _odd_value(draw, header)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
    return f"header: {did}"


def part(draw: random.Random, path: Path) -> str:
    """A file beside a Shapefile is changed or missing."""
    parts = sorted(path.parent.glob(f"{path.stem}.*"))
    chosen = draw.choice(parts)
    if draw.random() < 0.2:
        chosen.unlink()
        return f"{chosen.suffix} is missing"
    return f"{chosen.suffix}: {draw.choice(BYTES)(draw, chosen)}"
