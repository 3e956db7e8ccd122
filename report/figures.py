"""Figures that are legible in light and dark, on paper and on a phone.

Each is drawn once, by Matplotlib. Inside a page its colours are CSS variables and its text is the page's own, so that
it follows the reader's colour scheme; beside the page it is kept as a picture on white.
"""

import dataclasses
import io
import re
from collections.abc import Callable, Collection

# Apart from each other with every common colour blindness, and each with at least 3:1 on its ground. Name to the colour
# on white and on black; the page's style sheet is made from this.
INKS = {
    "ink": ("#1b1f24", "#e6e8eb"),
    "blue": ("#0069b0", "#4fa6ee"),
    "orange": ("#b94300", "#ff8533"),
    "green": ("#00855c", "#2fc391"),
    "purple": ("#cb60b2", "#f2a3dc"),
    "gold": ("#a58500", "#f4dc6a"),
    "indigo": ("#4a2fc4", "#8a78ff"),
    "grey": ("#77808b", "#98a1ac"),
}
CYCLE = ("orange", "blue", "green", "purple", "gold", "indigo", "grey", "ink")
MARKERS = "osD^vPX*"  # tell apart what colours may not
LEGEND_CHARACTERS = 36  # that fit side by side
HEIGHT, LEGEND_ROW = 3.4, 0.2  # inches
WIDTH = 5.0  # inches; 360 points, about the pixels of a phone: text keeps its size there
STYLE = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",  # comes with Matplotlib: the layout is the same on every machine
    "font.size": 10.5,
    "axes.titlesize": 10.5,
    "axes.labelsize": 10.5,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "legend.fontsize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.14,
    "grid.linewidth": 0.8,
    "axes.linewidth": 0.8,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "legend.borderaxespad": 0.2,
    "savefig.dpi": 200,
    **{f"{part}.color": INKS["ink"][0] for part in ("text", "xtick", "ytick", "grid")},
    **{f"axes.{part}color": INKS["ink"][0] for part in ("edge", "label")},
}


@dataclasses.dataclass(frozen=True)
class Figure:
    """A drawn figure.

    Attributes:
      name: of its files, without suffix.
      alt: what it shows, for those who cannot see it.
      caption: what to know when looking at it.
      svg, png: the picture, on white.
    """

    name: str
    alt: str
    caption: str
    svg: str
    png: bytes

    @property
    def inline(self) -> str:
        """The picture as part of a page."""
        svg = re.sub("<metadata>.*?</metadata>", "", self.svg[self.svg.index("<svg") :], flags=re.DOTALL)
        for name, (light, _) in INKS.items():
            svg = svg.replace(light, f"var(--{name})")
        # What is unique in a file need not be so among the figures of a page.
        svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{self.name}-", svg)
        svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
        return re.sub(r'<svg[^>]* viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', svg, count=1)


def draw(name: str, alt: str, caption: str, paint: Callable, height: float = HEIGHT, n_panels: int = 1) -> Figure:
    """Draws a figure.

    Args:
      name, alt, caption: see `Figure`.
      paint: draws onto the matplotlib Axes it is given: one, or a list of them where there are several panels.
      height: in inches.
      n_panels: Axes, one above the other, with one x axis.
    """
    import matplotlib
    from matplotlib.figure import Figure as Canvas
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):
        canvas, layout = Canvas(figsize=(WIDTH, height)), ConstrainedLayoutEngine()
        canvas.set_layout_engine(layout)
        panels = canvas.subplots(n_panels, sharex=True, squeeze=False)[:, 0]
        paint(panels[0] if n_panels == 1 else list(panels))
        layout.execute(canvas)  # once, for both files
        canvas.set_layout_engine(None)
        svg, png = io.StringIO(), io.BytesIO()
        canvas.savefig(png, format="png", facecolor="white", metadata={"Software": None})
        canvas.savefig(svg, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    on_white = svg.getvalue().replace("<svg ", '<svg style="background: #fff" ', 1)
    return Figure(name, alt, caption, on_white, png.getvalue())


def ink(name: str) -> str:
    """The colour of that name, as Matplotlib takes it."""
    return INKS[name][0]


def legend(axes, most: int = 2) -> None:
    """Puts the legend above the axes, where no curve can be behind it.

    Args:
      axes: with labelled curves.
      most: columns; fewer where the labels leave no room.
    """
    labels = axes.get_legend_handles_labels()[1]
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.01), ncols=legend_columns(labels, most))


def legend_columns(labels: Collection[str], most: int = 2) -> int:
    """The number of columns that a legend of these labels has."""
    return min(len(labels), most, max(1, LEGEND_CHARACTERS // max(map(len, labels), default=1)))


def plain_ticks(axis) -> None:
    """Labels a logarithmic axis with 1, 2, 5, 10 instead of powers."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())
