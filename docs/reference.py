"""Writes the settings and the command reference from the code: `python docs/reference.py`; a test compares them."""

import dataclasses
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))  # a script sees its own folder only

WIDTH = 100  # columns of the help texts


def settings() -> str:
    """The settings as Markdown, a table for each section of the configuration."""
    from pipeline.config import Config

    fields = dataclasses.fields(Config)
    sections = [field for field in fields if dataclasses.is_dataclass(field.type)]
    plain = [field for field in fields if field not in sections]
    parts = [
        "# Settings",
        "Written by `make docs` from `pipeline/config.py`. Each is given as `--set KEY=VALUE`, any number of times;\n"
        "the last one wins. `config.json` beside each result holds all of them.",
        "## Everything",
        _table(Config, plain, ""),
    ]
    for field in sections:
        summary = inspect.cleandoc(field.type.__doc__).splitlines()[0]
        parts += [f"## {field.name}", summary, _table(field.type, dataclasses.fields(field.type), f"{field.name}.")]
    return "\n\n".join(parts) + "\n"


def _table(section: type, fields, prefix: str) -> str:
    described = {name: text for kind in reversed(section.__mro__) for name, text in _attributes(kind).items()}
    rows = [
        f"| `{prefix}{field.name}` | {_shown(field.default)} | {described[field.name].replace('|', chr(92) + '|')} |"
        for field in fields
    ]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows])


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return "" if value in ("", ()) else f"`{value}`"


def _attributes(section: type) -> dict[str, str]:
    """Attribute to its description in the class's docstring; several may share one."""
    found = {}
    text = inspect.cleandoc(section.__dict__.get("__doc__") or "").partition("Attributes:\n")[2]
    for entry in re.split(r"\n(?=  \w)", text):
        names, _, description = " ".join(entry.split()).partition(": ")
        found |= dict.fromkeys(names.split(", "), description)
    return found


def commands() -> str:
    """The help of every command as Markdown."""
    from cli.main import cli

    parts = ["# Commands", "Written by `make docs` from the help of each command."]
    for path, command in walk(cli, ("higgs",)):
        settings = cli.context_settings | {"terminal_width": WIDTH, "max_content_width": WIDTH}
        context = click.Context(command, info_name=" ".join(path), **settings)
        text = "\n".join(f"    {line}".rstrip() for line in command.get_help(context).splitlines())
        parts += [f"## {' '.join(path)}", text]
    return "\n\n".join(parts) + "\n"


def walk(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """A command and, below a group, all others, each with its path."""
    yield path, command
    for name, below in sorted(getattr(command, "commands", {}).items()):
        yield from walk(below, (*path, name))


PAGES = {"settings.md": settings, "commands.md": commands}

if __name__ == "__main__":
    for page, write in PAGES.items():
        (DOCS / page).write_text(write())
