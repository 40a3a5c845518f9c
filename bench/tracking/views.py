"""Views: the saved view in which MLflow's UI shows the runs of an experiment, in the UI's own format."""

from __future__ import annotations

import json
import shlex

KEY = "designs"
COLOUR = "mlflow.runColor"  # tag with the colour of a run in the list of runs and in charts
NAME = "Designs"
LOCAL = "http://127.0.0.1:5000"  # address at which `make ui` serves a local store

DESIGN, SEED = "params.`design`", "params.`seed`"
SCORES = ("test/dice", "test/accuracy")
COSTS = ("cost/params", "cost/flops")
INFORMATION = ("summary/bottleneck.xt", "summary/bottleneck.ty")
COLUMNS = (DESIGN, SEED, *(f"metrics.`{key}`" for key in (*SCORES, *COSTS, *INFORMATION)))
WIDTHS = {"attributes.`Run Name`": 280, DESIGN: 180, SEED: 60} | {f"metrics.`{key}`": 170 for key in INFORMATION}
SECTIONS = {"designs": 1, "profile": 2}  # open sections of charts, and the number of charts per row
FOLDED = ("train", "val", "test", "cost", "summary", "layers.xt", "layers.ty")
NOTE = (
    f"Choose the view *{NAME}* in the menu at the upper right.\n\n"
    "It shows each run's design, cost, score and information; what unfolds below a sweep are its jobs. Of its charts, "
    "*designs* compares jobs, and *profile* lays their U-plots over each other: the step is a layer's place along the "
    "data's way, 0 to 100, the bottleneck at 50."
)


def experiment_tags() -> dict[str, str]:
    """Return the tags of an experiment: the view, which the UI lists under its name, and a note that explains it."""
    view = {"name": NAME, "createdAt": 0, "updatedAt": 0, "state": json.dumps(state())}
    return {f"mlflow.sharedViewState.{KEY}": json.dumps(view), "mlflow.note.content": NOTE}


def link(uri: str, experiment_id: str) -> str:
    """Return the address of the view. For a local store, this is an address of `make ui`."""
    server = uri.rstrip("/") if uri.startswith(("http://", "https://")) else LOCAL
    return f"{server}/#/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={KEY}"


def ui_address(uri: str, experiment_id: str) -> str:
    """Return the lines that say how to open MLflow's UI and the view of the experiment."""
    served = uri.startswith(("http://", "https://"))
    local = f"open the UI: make ui, or: mlflow ui --host 127.0.0.1 --backend-store-uri {shlex.quote(uri)}\n"
    return f"{'' if served else local}designs and U-plots: {link(uri, experiment_id)}\n"


def state() -> dict:
    """Return the state of the view: its columns, and its charts in sections. The UI adds a chart for other metrics."""
    return {
        "orderByKey": "attributes.start_time",  # the UI groups runs below their parent only in this order
        "orderByAsc": False,
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
