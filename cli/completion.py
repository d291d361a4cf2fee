"""The command `geofcn completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script by which SHELL completes verbs, options and names of files.

    \b
    eval "$(geofcn completion bash)"        in ~/.bashrc; zsh likewise, in ~/.zshrc
    geofcn completion fish > ~/.config/fish/completions/geofcn.fish
    """  # noqa: D301
    kind = get_completion_class(shell)
    assert kind is not None, "click knows the shells that are offered"
    click.echo(kind(ctx.find_root().command, {}, "geofcn", "_GEOFCN_COMPLETE").source())
