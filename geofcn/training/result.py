"""Result of a training: its history, best epoch and files."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from geofcn import defaults
from geofcn.text import printable
from geofcn.training.state import Epoch, best_of

if TYPE_CHECKING:
    import pandas

REPORT = "report.html"


@dataclass(frozen=True)
class TrainingResult:
    """History, best epoch and files of a training; it prints itself.

    Attributes
    ----------
    run : Path
        Folder with models, history and plots.
    epochs : tuple of Epoch
        The history, one row an epoch.
    keeps_last : bool
        Whether the weights to use are the last ones, and not those with the best score.
    """

    run: Path
    epochs: tuple[Epoch, ...]
    keeps_last: bool = False

    @property
    def best(self) -> Epoch:
        """The epoch whose weights `model` holds.

        The first one with the best F1; the last one where nothing was held out to choose by.
        """
        if self.keeps_last:
            return self.epochs[-1]
        return self.epochs[best_of([row.f1 for row in self.epochs]) - 1]

    @property
    def model(self) -> Path:
        """The model of the best epoch, as `geofcn.infer` takes it."""
        return self.run / defaults.BEST_F1

    @property
    def report(self) -> Path:
        """The page that shows the training."""
        return self.run / REPORT

    @property
    def history(self) -> pandas.DataFrame:
        """The history as a DataFrame, indexed by epoch."""
        import pandas

        return pandas.DataFrame(list(map(asdict, self.epochs))).set_index("epoch")

    def __str__(self) -> str:
        best = self.best
        kind = "" if self.keeps_last else "best "
        if best.scored_on == "training":
            kind += "training "
        return printable(
            f"{kind}F1 {100 * best.f1:.2f} (precision {100 * best.precision:.2f}, recall "
            f"{100 * best.recall:.2f}) in epoch {best.epoch} of {len(self.epochs)}: {self.model}"
        )

    def _repr_html_(self) -> str:
        return f"<p>{escape(str(self))}</p>{self.history.to_html(float_format='{:.4g}'.format)}"
