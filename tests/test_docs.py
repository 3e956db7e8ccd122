"""What the documentation says: its commands, its references, its links."""

import importlib.util
import re
import shlex
from pathlib import Path

import click
import pytest

from cli.main import cli
from docs import reference
from pipeline.config import Config, override

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
PLACEHOLDERS = ("<", "RUN", "NAME", "URL", "ARCHITECTURE")
# First words of lines that are no commands of ours, and why nothing runs them here.
NOT_RUN = {
    "git": "needs the address of the repository",
    "export": "sets the reader's own shell",
    ".": "sets the reader's own shell",
    "zcat": "needs the 2.8 GB of HIGGS.csv.gz",
    "tfx": "tests/test_local_runner.py and tests/test_end_to_end.py run the pipeline that it names",
    "docker": "needs a Docker engine; tests/test_serving.py checks the file",
    "kubectl": "needs a cluster; tests/test_serving.py and tests/test_kubeflow_manifests.py check the manifests",
    "CGO_ENABLED=0": "needs the sources of Kubeflow Pipelines",
}
# Commands of ours, by their first two words, that cannot be run in a test; their options are checked all the same.
NEEDS = {
    "higgs run": "trains: tests/test_end_to_end.py and others",
    "higgs study": "trains: tests/test_study.py",
    "higgs report": "needs a run: tests/test_report.py",
    "higgs tensorboard": "serves until it is stopped: tests/test_tensorboard.py",
    "higgs runs": "needs runs: tests/test_runs.py",
    "higgs kubeflow": "needs a cluster or an image: tests/test_kubeflow_*.py",
    "higgs serving": "needs versions: tests/test_serving*.py",
    "higgs predict": "needs a model: tests/test_predict.py",
    "higgs data": "2.8 GB, or a minute: tests/test_download.py, tests/test_simulate.py",
    "make": "sets up environments, or is what runs this test",
    "python": "measures for minutes: tests/test_benchmarks.py",
    "pre-commit": "is the contributor's own",
}


def found_commands() -> list:
    """Each line of an indented block that begins with a command's name: page, line number, command."""
    first = {*NOT_RUN, *(name.split()[0] for name in NEEDS)}
    commands = []
    for page in PAGES:
        lines = page.read_text().splitlines()
        for number, line in enumerate(lines, 1):
            match = re.match(r"    ((?:[A-Z_]+=\S+ )*)(\S+)(.*)", line)
            if page.name == "commands.md" or not match or lines[number - 2].endswith("\\"):
                continue
            text = line.strip()
            while text.endswith("\\"):
                text = text[:-1] + lines[number].strip()
                number += 1
            assignments, name, _ = match.groups()
            name = assignments.split()[0] if assignments.startswith("CGO") else name
            if name in first:
                commands.append(pytest.param(name, text[len(assignments) :], id=f"{page.name}:{number}"))
    return commands


COMMANDS = found_commands()


def words(text: str) -> list[str]:
    """The words of a command, without its comment and what comes after it on the line."""
    return shlex.split(re.split(r" && | \| ", text)[0], comments=True)


@pytest.mark.parametrize(("name", "text"), COMMANDS)
def test_every_command_of_the_documentation_exists_as_it_is_written(name, text, monkeypatch):
    for variable in ("HIGGS_IMAGE", "HIGGS_KFP_ENDPOINT"):  # the pages export them first
        monkeypatch.setenv(variable, "https://host")
    if name in NOT_RUN:
        return check_files(text)
    arguments = words(text)
    if name == "higgs":
        assert " ".join(arguments[:2]) in NEEDS
        check_options(arguments[1:])
    elif name == "make":
        targets = [word for word in arguments[1:] if "=" not in word]
        makefile = (ROOT / "Makefile").read_text()
        for target in targets:
            assert re.search(rf"(?m)^{target}:", makefile), target
        for variable in (word.split("=")[0] for word in arguments[1:] if "=" in word):
            assert f"$({variable})" in makefile or variable.startswith("HIGGS_"), variable
    elif name == "python":
        assert arguments[1] == "-m"
        assert importlib.util.find_spec(arguments[2]), arguments[2]
        source = Path(importlib.util.find_spec(arguments[2]).origin).read_text()
        for option in re.findall(r"--[a-z-]+", " ".join(arguments[3:])):
            assert f'"{option}"' in source or ("click" not in source and option in source), option


def check_files(text: str) -> None:
    """Every file of ours that a command names is there."""
    for path in re.findall(r"(?<![\w/$])(?:kubeflow|pipeline|tests|docs)/[\w./-]+", text.split("   #")[0]):
        assert (ROOT / path.rstrip(".")).exists(), path


def check_options(arguments: list[str]) -> None:
    """The command line takes the arguments, and the configuration takes their settings."""
    command, context = cli, click.Context(cli, info_name="higgs", **cli.context_settings)
    while isinstance(command, click.Group):
        [name, *arguments] = arguments
        command = command.get_command(context, name)
        assert command, name
        context = click.Context(command, info_name=name, parent=context)
    command.parse_args(context, list(arguments))
    override(Config(), context.params.get("settings") or ())
    for text in (context.params.get("architecture"), *context.params.get("architectures", ())):
        if text and not text.startswith(PLACEHOLDERS):
            from models.architectures import named

            named(text)


def test_inline_settings_exist():
    from pipeline.config import keys

    sections = "|".join({key.split(".")[0] for key in keys() if "." in key})
    pattern = rf"`(?:--set )?((?:{sections})\.[a-z_]+)(?:=[^`]*)?`"
    named_keys = {
        match
        for page in PAGES
        for match in re.findall(pattern, page.read_text())
        if not match.endswith((".py", ".md", ".html", ".json"))
    }
    assert named_keys <= set(keys())
    assert len(named_keys) > 15


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", reference.PAGES)
def test_reference_is_what_the_code_says(page):
    assert (ROOT / "docs" / page).read_text() == reference.PAGES[page](), "run `make docs`"


def test_readme_is_short_and_leads_to_every_page():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 130
    for page in (ROOT / "docs").glob("*.md"):
        assert f"docs/{page.name}" in text, page.name
