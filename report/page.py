"""A page: a list of sections, each of a title and figures or tables, rendered into one file that needs no other."""

import dataclasses
import os
import time
from collections.abc import Sequence

from events.files import whole
from report.figures import INKS, Figure

MADE = "Made by higgs report on %Y-%m-%d %H:%M UTC."


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of texts under a head; the first column names the row.

    Attributes:
      marked: indices of rows to stand out.
      numeric: whether all but the first column are numbers, to be aligned to the right; a table of words has its
        cells one below the other where there is little room.
      beside: whether it stands beside a figure where there is room.
      worded: heads of columns of words in a table of numbers, which are broken into lines.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    marked: Sequence[int] = ()
    numeric: bool = True
    beside: bool = False
    worded: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Section:
    """A titled part of a page.

    Attributes:
      text: a sentence or two before the rest.
      blocks: figures and tables, in order.
      folded: whether it opens on demand only.
    """

    title: str
    blocks: Sequence[Figure | Table]
    text: str = ""
    folded: bool = False

    @property
    def figures(self) -> list[Figure]:
        """The blocks that are figures."""
        return [block for block in self.blocks if isinstance(block, Figure)]


@dataclasses.dataclass(frozen=True)
class Page:
    """What a reader gets.

    Attributes:
      title: of the page.
      origin: `real` or `simulated`, what the rows are.
      verdict: the outcome in two words.
      mood: `good`, `bad` or `plain`, how the verdict looks.
      reason: the outcome in a sentence.
      facts: name to value of what matters most.
      sections: the rest.
      made: by what, and when.
    """

    title: str
    origin: str
    verdict: str
    mood: str
    reason: str
    facts: dict[str, str]
    sections: Sequence[Section]
    made: str = dataclasses.field(default_factory=lambda: time.strftime(MADE, time.gmtime()))

    def to_html(self) -> str:
        """The page as one self-contained document."""
        from jinja2 import Environment, PackageLoader, StrictUndefined

        loader = PackageLoader("report")
        environment = Environment(
            loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        return environment.get_template("page.html.jinja").render(page=self, inks=INKS)

    def write(self, path: str) -> str:
        """Writes the page to `path`, and its figures as .svg and .png into a folder of the same name beside it.

        Returns:
          The absolute path.
        """
        path = os.path.abspath(path)
        folder = os.path.splitext(path)[0]
        os.makedirs(folder, exist_ok=True)
        for figure in (figure for section in self.sections for figure in section.figures):
            with whole(os.path.join(folder, f"{figure.name}.svg")) as file:
                file.write(figure.svg)
            with whole(os.path.join(folder, f"{figure.name}.png"), "wb") as file:
                file.write(figure.png)
        with whole(path) as file:
            file.write(self.to_html())
        return path
