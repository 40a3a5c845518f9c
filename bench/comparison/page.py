"""Page: a comparison as one HTML file that needs no other."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

import jinja2

from bench.comparison import words
from bench.comparison.comparison import Comparison

TEMPLATE = Path(__file__).with_name("page.html")
CAPTIONS = {
    "u_plot": "Information along the layers, mean over the seeds of a design; nulls are not taken off. "
    "Dotted: the same networks, never trained. What a dotted line has already, training did not bring.",
    "pareto": "Score with its interval against cost. The line joins designs that no other betters, by means alone. "
    "Triangles at the lower edge: far below the reference, at the score that the legend names.",
    "differences": "What each layer tells beyond that of the reference, with 95 % intervals. Hollow: not reliable on "
    "one side. Cross: only the untrained networks can judge. Of twenty layers without any difference, one may still "
    "exclude 0.",
}


def page(title: str, comparison: Comparison, figures: Mapping[str, bytes]) -> str:
    """HTML with everything inlined and every name escaped. figures: PNGs by name, each with a caption here."""
    shown = words.for_the_eye(comparison.designs, comparison.metric)
    told = words.told(comparison.differences)
    marked = comparison.differences["differs"] & comparison.differences["reliable"].eq(True)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        title=title,
        facts=comparison.facts,
        columns=list(shown.columns),
        designs=list(zip(shown.index, shown.to_numpy().tolist(), strict=True)),
        how_to_read=words.how_to_read(shown, comparison.metric),
        notes=comparison.notes,
        pictures=[
            {"caption": CAPTIONS[name], "name": name, "data": base64.b64encode(png).decode()}
            for name, png in figures.items()
        ],
        difference_columns=list(told.columns),
        differences=list(zip(marked, told.to_numpy().tolist(), strict=True)),
    )
