"""How schemes and parts of a step look: a colour, a marker and a line that all figures of a result share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from matplotlib.lines import Line2D

from netsim.report.points import UNCOMPRESSED

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd
    from matplotlib.axes import Axes

# Okabe and Ito (2008) without yellow and black, then Tol's muted ones and a brown: told apart with any colour vision.
COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#E69F00",
    "#882255",
    "#999933",
    "#332288",
    "#8C564B",
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")
Pattern: TypeAlias = Literal["-"] | tuple[float, tuple[float, ...]]
PATTERNS: tuple[Pattern, ...] = ("-", (0, (1.2, 0.8)), (0, (5, 1.2, 1.2, 1.2, 1.2, 1.2)), (0, (2.5, 1)))
"""Of lines, where there are more of them than colours; plain dashes and dashes with dots mean something else."""
GREY = "#444444"
PALE = "#D0D0D0"
"""What lines of other panels are drawn in."""
PARTS = {
    "compute_s": ("compute", "#B8B8B8"),
    "encode_s": ("encode", "#E69F00"),
    "exposed_comm_s": ("exposed communication", "#0072B2"),
    "decode_s": ("decode", "#CC79A7"),
    "optimizer_s": ("optimizer", "#666666"),
    "lost_s": ("failures, checkpoints", "#D55E00"),
}
"""The parts of a step, in the order they are stacked: column -> (name, colour)."""


def parts(runs: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Return the parts of a step that a table has: nothing is lost where nothing fails."""
    lost = "lost_s" in runs and bool((runs["lost_s"] > 0).any())
    return {column: look for column, look in PARTS.items() if lost or column != "lost_s"}


class Look(NamedTuple):
    """The colour, marker, thickness and pattern of a scheme, or another name, in every figure of a result.

    The thickness falls from 1 to 0 in the order of drawing, so that coinciding lines all remain visible.
    """

    colour: str
    marker: str
    thickness: float = 0.5
    pattern: Pattern = "-"

    @property
    def linewidth(self) -> float:
        """Return the width of a line in points."""
        return 1.1 + 1.6 * self.thickness


def looks(names: Iterable[object]) -> dict[str, Look]:
    """Return a look for every name of the whole table, so that all panels and figures agree.

    Colours come first with solid lines, then again with each of `PATTERNS`: 40 names look different.
    """
    told = [name for name in dict.fromkeys(map(str, names)) if name != UNCOMPRESSED]
    found = {
        name: Look(
            COLOURS[rank % len(COLOURS)],
            MARKERS[rank % len(MARKERS)],
            1 - rank / len(told),
            PATTERNS[rank // len(COLOURS) % len(PATTERNS)],
        )
        for rank, name in enumerate(told)
    }
    return {UNCOMPRESSED: Look(GREY, "*", 0.0)} | found


def legend_handle(name: str, look: Look) -> Line2D:
    """Return the legend entry of a scheme."""
    return Line2D(
        [], [], color=look.colour, marker=look.marker, markersize=5.5, linewidth=1.4, linestyle=look.pattern, label=name
    )


def markers(axes: Axes, xs: Any, ys: Any, look: Look, *, hollow: bool) -> None:
    """Draw a scheme's markers, hollow where the values are extrapolated."""
    face = "white" if hollow else look.colour
    axes.plot(
        xs, ys, linestyle="", marker=look.marker, markersize=4 + 4 * look.thickness, color=look.colour,
        markerfacecolor=face, zorder=3 - look.thickness,
    )  # fmt: skip


def text_on(colour: str) -> str:
    """Return black or white, whichever reads better on this `#RRGGBB` (relative luminance, WCAG 2)."""
    red, green, blue = (int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5))
    return "black" if 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2 > 0.18 else "white"
