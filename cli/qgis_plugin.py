"""The command `geofcn qgis-plugin`."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import click

import geofcn
from geofcn.errors import OutputError
from geofcn.io import files
from geofcn.progress import Progress
from geofcn_cli import options

NAME = "geofcn_qgis"
SOURCE = Path(geofcn.__file__).parent / "qgis_plugin"
DEFAULT = "QGIS3/profiles/default"


def _default_profile() -> Path:
    """The folder of QGIS's default profile, where a system puts it."""
    if sys.platform == "win32":
        return Path(os.environ["APPDATA"], "QGIS", DEFAULT)
    if sys.platform == "darwin":
        return Path.home() / "Library/Application Support/QGIS" / DEFAULT
    return Path.home() / ".local/share/QGIS" / DEFAULT


@click.command("qgis-plugin")
@click.argument("profile", required=False, type=options.PATH)
@options.verb
def qgis_plugin(progress: Progress, profile: str | None) -> None:
    """Install the plugin of QGIS into PROFILE, the folder of a user profile.

    QGIS opens that folder with Settings > User Profiles > Open Active Profile Folder.  [default:
    that of QGIS's profile `default`]

    The plugin runs this geofcn, and knows the options that it has now: after an update run the
    command again.
    """
    folder = _default_profile() if profile is None else Path(profile)
    if not folder.is_dir():
        raise OutputError(
            f"{folder}: there is no such profile of QGIS; start QGIS once, or give the folder that "
            "Settings > User Profiles > Open Active Profile Folder shows."
        )
    target = folder / "python" / "plugins" / NAME
    try:
        _install(target)
    except OSError as error:
        raise files.folder_not_writable(target, error) from error
    options.report(
        f"{target}\nSwitch it on in QGIS: Plugins > Manage and Install Plugins > geofcn."
    )


def _install(target: Path) -> None:
    """Copy the plugin, and write down what it has to know of this geofcn."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with files.partial_folder(target) as folder:
        new = folder / NAME
        shutil.copytree(SOURCE, new, ignore=shutil.ignore_patterns("__pycache__"))
        metadata = new / "metadata.txt"
        metadata.write_text(metadata.read_text().replace("=VERSION", f"={geofcn.__version__}"))
        (new / "verbs.json").write_text(json.dumps(_installation(), indent=1), encoding="utf-8")
        if target.exists():
            target.replace(folder / "old")
        new.replace(target)


def _installation() -> dict[str, Any]:
    """How this geofcn is run, and what its verbs take."""
    from geofcn_cli.main import VERBS, main

    context = click.Context(main)
    commands = {name: main.get_command(context, name) for name in VERBS}
    return {
        "command": [sys.executable, "-P", "-m", "geofcn_cli"],
        "verbs": {name: _describe(command) for name, command in commands.items() if command},
    }


def _describe(command: click.Command) -> dict[str, Any]:
    """What `geofcn.qgis_plugin.description` reads of a verb."""
    return {"help": command.help, "parameters": [*map(_describe_parameter, command.params)]}


def _describe_parameter(parameter: click.Parameter) -> dict[str, Any]:
    option = parameter if isinstance(parameter, click.Option) else None
    default = parameter.default
    return {
        "name": parameter.name,
        "option": option and max(option.opts, key=len),
        "help": option and option.help,
        "metavar": parameter.metavar,
        "type": parameter.type.to_info_dict(),
        "required": parameter.required,
        "multiple": parameter.multiple,
        "nargs": parameter.nargs,
        "is_flag": option is not None and option.is_flag,
        # Others say that nothing was given.
        "default": default if isinstance(default, (str, int, float)) else None,
    }
