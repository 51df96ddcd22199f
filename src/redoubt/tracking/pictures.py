"""The eps curves of a run as a picture: chosen in the comparison of runs, theirs lie side by side."""

import io
from typing import TYPE_CHECKING

from redoubt.runs import RunRecord

if TYPE_CHECKING:
    from PIL import Image

PICTURE = "eps_curves.png"
NORMS = {"linf": "L-inf", "l2": "L2"}
COLUMNS = {"undefended": "#c2410c", "oblivious": "#6b7280", "adaptive": "#1d4ed8", "certified": "#15803d"}
WIDTH, HEIGHT, DOTS = 3.6, 2.8, 120


def eps_curves(record: RunRecord) -> "Image.Image | None":
    """Robust accuracy and certified accuracy against eps, one panel per norm; None where nothing was attacked."""
    norms = [norm for norm in NORMS if f"eps_{norm}/adaptive" in record.curves]
    if not norms:
        return None
    # Only here: a sync that finds nothing new draws nothing.
    from PIL import Image

    from redoubt.report.figures import canvas

    figure, axes = canvas(1, len(norms), WIDTH * len(norms), HEIGHT)
    for axis, norm in zip(axes[0], norms, strict=True):
        for column, colour in COLUMNS.items():
            points = record.curves.get(_curve(norm, column))
            if points:
                axis.plot(
                    [step / 1000 for step, _ in points], [value for _, value in points], ".-", c=colour, label=column
                )
        axis.set(xlabel=f"{NORMS[norm]} eps", ylabel="accuracy", ylim=(-0.02, 1.02), title=record.run)
        axis.legend(fontsize=7)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DOTS)
    return Image.open(stream)


def _curve(norm: str, column: str) -> str:
    return "radius_l2/certified" if (norm, column) == ("l2", "certified") else f"eps_{norm}/{column}"
