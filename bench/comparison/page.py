"""Page: a comparison as one HTML file that needs no other file."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

import jinja2

from bench.comparison import words
from bench.comparison.comparison import Comparison

TEMPLATE = Path(__file__).with_name("page.html")
CAPTIONS = {
    "u_plot": "Information in each layer, mean over the seeds of a design: the excess over the null, or bits if there "
    "is no null. Dotted lines show untrained networks of the same designs: training did not add the information that a "
    "dotted line already has. Bands show the range over seeds, or the 95 % interval of a single run.",
    "pareto": "Score with its interval against cost. The line joins the designs on the Pareto front, by means alone. "
    "Triangles at the lower edge are designs that collapsed or are far below the others, with their scores.",
    "differences": "Information in each layer minus that in the same layer of the reference, with 95 % intervals. "
    "Hollow markers: not reliable on one side. Crosses: only the untrained networks can judge. If no layer differs, "
    "about one interval in twenty still excludes 0.",
}


def page(title: str, comparison: Comparison, figures: Mapping[str, bytes]) -> str:
    """Render a comparison as HTML, with all figures inside and every name escaped.

    Args:
        title: Title of the page.
        comparison: The comparison.
        figures: PNG of each figure, by a name of `CAPTIONS`.
    """
    shown = words.format_designs(comparison.designs, comparison.metric)
    differences = words.format_differences(comparison.differences)
    marked = comparison.differences["differs"] & comparison.differences["reliable"].eq(True)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        title=title,
        facts=comparison.facts,
        columns=list(shown.columns),
        colours={design: style["color"] for design, style in comparison.styles.items()},
        designs=list(zip(shown.index, shown.to_numpy().tolist(), strict=True)),
        how_to_read=words.how_to_read(shown, comparison.metric),
        notes=comparison.notes,
        pictures=[
            {"caption": CAPTIONS[name], "name": name, "data": base64.b64encode(png).decode()}
            for name, png in figures.items()
        ],
        difference_columns=list(differences.columns),
        differences=list(zip(marked, differences.to_numpy().tolist(), strict=True)),
    )
