"""The examples in docstrings give what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = [path for path in ROOT.glob("[!.]*/**/*.py") if "    >>> " in path.read_text() and path != Path(__file__)]
NAMES = sorted(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in FILES)


@pytest.mark.parametrize("name", NAMES)
def test_examples_give_what_they_say(name):
    tested = doctest.testmod(importlib.import_module(name.removeprefix("tests.")))
    assert tested.attempted and not tested.failed
