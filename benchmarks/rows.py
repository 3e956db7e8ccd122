"""The simulated rows that everything is measured on, and the folders of what is made of them."""

import dataclasses
from pathlib import Path

from events.files import whole
from events.higgs.columns import COLUMNS
from events.higgs.simulate import write_csv

MADE = "made"  # below a place: what stages made of its rows


@dataclasses.dataclass(frozen=True)
class Place:
    """The folder of so many simulated rows; rows that are there already are not made again.

    Attributes:
      folder: below which everything is.
      n_rows: how many.
    """

    folder: Path
    n_rows: int

    def csv(self, suffix: str = ".csv") -> str:
        """The file of the rows in the format of HIGGS, `.csv` or `.csv.gz`."""
        path = self.folder / f"rows{suffix}"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_csv(path, self.n_rows, seed=0)
        return str(path)

    def headed(self) -> str:
        """The folder of the same rows below a header, which CsvExampleGen takes the first line for in any case."""
        path = self.folder / "headed" / "rows.csv"
        if not path.exists():
            path.parent.mkdir(exist_ok=True, parents=True)
            with open(self.csv()) as rows, whole(path) as file:
                file.write(",".join(COLUMNS) + "\n")
                file.writelines(rows)
        return str(path.parent)

    def made(self, stage: str, side: str) -> Path:
        """The folder of what one side of a stage made of the rows."""
        return self.folder / MADE / f"{stage} {side}"
