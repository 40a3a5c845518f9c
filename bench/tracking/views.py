"""Views: how MLflow's UI shows an experiment: saved views in the UI's own format, and descriptions of runs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

KEY = "designs"
COLOUR = "mlflow.runColor"  # tag with the colour of a run in the list of runs and in charts
NAME = "Designs"
KIND, RUN, MEASURE, COMPARISON = "kind", "run", "measure", "comparison"  # tag of every run, and its values
VIEWS = {  # key -> name in the menu and filter of the runs
    KEY: (NAME, f"tags.{KIND} != '{COMPARISON}'"),
    "comparisons": ("Comparisons", f"tags.{KIND} = '{COMPARISON}'"),
}
LOCAL = "http://127.0.0.1:5000"  # address at which `make ui` serves a local store

FOLD = "fold"  # tag of a run of cross-validation
DESIGN, SEED = "params.`design`", "params.`seed`"
SCORES = ("test/dice", "test/accuracy")
COSTS = ("cost/params", "cost/flops")
INFORMATION = ("summary/bottleneck.xt", "summary/bottleneck.ty")
COLUMNS = (DESIGN, SEED, f"tags.`{FOLD}`", *(f"metrics.`{key}`" for key in (*SCORES, *COSTS, *INFORMATION)))
WIDTHS = {"attributes.`Run Name`": 280, DESIGN: 180, SEED: 60} | {f"metrics.`{key}`": 170 for key in INFORMATION}
SECTIONS = {"designs": 1, "profile": 2}  # open sections of charts, and the number of charts per row
FOLDED = ("train", "val", "test", "cost", "summary", "layers.xt", "layers.ty")
PROFILES = (
    "In the charts *profile*, the step is the relative depth of a layer: 0 is the first layer, 50 the bottleneck of a "
    "U-Net, 100 the output. They show bits of the best checkpoint above the null, and I(X;T) of an estimator without a "
    "null as it is. Compare them with the untrained networks in *figures/u_plot.png* of the run."
)
NOTE = (
    f"Choose the view *{NAME}* in the menu at the upper right. It shows design, cost, score and information of each "
    "run. The jobs of a sweep unfold below it. The charts *designs* compare jobs. Runs of one design have one colour. "
    f"The view *Comparisons* lists the results of `python -m bench compare`.\n\n{PROFILES}\n\n"
    "If the page of a run shows *GenAI* at the upper left, choose *Model training* there. The browser remembers it."
)


def experiment_tags() -> dict[str, str]:
    """Return the tags of an experiment: views, which the UI lists by their names, and a note that explains them."""
    tags = {"mlflow.note.content": NOTE}
    for key, (name, only) in VIEWS.items():
        view = {"name": name, "createdAt": 0, "updatedAt": 0, "state": json.dumps(state(only))}
        tags[f"mlflow.sharedViewState.{key}"] = json.dumps(view)
    return tags


def note_of_run(about: str, costs: Mapping[str, float], verdict: str = "", sample: str = "image") -> str:
    """Describe a training run in Markdown: data, design, score, cost, verdict, and how to read its charts.

    Args:
        about: Data, design and score.
        costs: params and flops of the network.
        verdict: Sentences about the result, or an empty text.
        sample: What the network gets in a forward pass, `image` or `patch`.
    """
    one = "a patch" if sample == "patch" else "an image"
    cost = f"{costs['params']:,.0f} parameters, {costs['flops'] / 1e6:,.1f} MFLOPs {one}"
    return "\n\n".join(part for part in (f"**{about}** · {cost}", verdict.strip(), PROFILES) if part)


def rounded(value: float) -> float:
    """Round to 7 significant digits, because the UI shows every digit. Whole numbers stay exact.

    Examples:
        >>> rounded(0.5900389552116394), rounded(49_938_432.0)
        (0.590039, 49938432.0)
    """
    value = float(value)
    return value if value.is_integer() else float(f"{value:.7g}")


def link(uri: str, experiment_id: str) -> str:
    """Return the address of the view. For a local store, this is an address of `make ui`."""
    server = uri.rstrip("/") if uri.startswith(("http://", "https://")) else LOCAL
    return f"{server}/#/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={KEY}"


def ui_address(uri: str, experiment_id: str) -> str:
    """Return the lines that say how to open MLflow's UI and the view of the experiment."""
    served = uri.startswith(("http://", "https://"))
    local = f"open the UI: make ui, or: mlflow ui --host 127.0.0.1 --backend-store-uri {shlex.quote(uri)}\n"
    return f"{'' if served else local}designs and U-plots: {link(uri, experiment_id)}\n"


def state(only: str) -> dict:
    """Return the state of a view: its columns, and its charts in sections. The UI adds a chart for other metrics.

    Args:
        only: Filter of the runs.
    """
    return {
        "orderByKey": "attributes.start_time",  # the UI groups runs below their parent only in this order
        "orderByAsc": False,
        "searchFilter": only,
        "selectedColumns": COLUMNS,
        "columnOrder": ["attributes.`Run Name`", *COLUMNS],
        "columnWidths": WIDTHS,
        "runsHiddenMode": "SHOW_ALL",
        "hideEmptyCharts": True,
        "isAccordionReordered": True,
        "compareRunSections": [section(name, True) | {"columns": n} for name, n in SECTIONS.items()]
        + [section(name, False) for name in FOLDED],
        "compareRunCharts": [parallel(score) for score in SCORES],
    }


def section(name: str, is_open: bool) -> dict:
    """Return a section of charts. The UI adds the metrics whose names begin with the name of the section."""
    return {"uuid": name, "name": name, "display": is_open, "isReordered": False}


def parallel(score: str) -> dict:
    """Return a chart of parallel coordinates, coloured by the score. The UI omits runs that lack one of the metrics."""
    return {
        "type": "PARALLEL",
        "uuid": f"parallel {score}",
        "metricSectionId": "designs",
        "deleted": False,
        "isGenerated": False,
        "selectedParams": ["design"],
        "selectedMetrics": [*COSTS, INFORMATION[-1], score],
        "showAllRuns": False,
    }
