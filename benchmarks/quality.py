"""The natural network beside what a practitioner would take, on the tables of `table_sets` and on one split each.

What `init` proposes was chosen while looking at the test scores of seeds 20 to 22: other seeds draw other tables and
splits (of the bundled tables other splits alone), on which nothing was chosen. Whoever chooses anew looks at the
network's score on validation examples, and at no test score.

python -m benchmarks.quality [NAME ...] [--seed N] [--trials N] has `redoubt init` propose a task for each, runs the
stages up to `train`, and prints the scores of the network on validation and on test examples, and the test scores of
logistic or ridge regression and of gradient-boosted trees (balanced accuracy, or R2). With --trials the sweep draws so
many in place of its grid. A tie is a point of balanced accuracy or 2 % of R2; `chance` says that the 95 % interval of
the network's score holds the better one. Run it from the project's top folder; it works in a folder of its own and
asserts nothing.
"""

import argparse
import contextlib
import io
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.table_sets import NAMES, table
from pipelines import ingest, scale, split, sweep, train
from pipelines._data import TaskData, load_data
from redoubt.bundle.batches import slices
from redoubt.cli import main
from redoubt.core.store import read_json
from redoubt.core.types import Batch
from redoubt.evaluation.baselines import clean_score, compared
from redoubt.evaluation.metrics import Score
from redoubt.models.saved import load_network
from redoubt.params.load import load
from redoubt.params.resolve import of_task
from redoubt.params.settings.search import SearchParams
from redoubt.params.task import Task
from redoubt.training.fit import inference

STAGES = (ingest, split, scale, sweep, train)
# What counts as a tie.
POINT, SHARE = 0.01, 0.02
AT_ONCE, SEED = 2048, 31
HEAD = f"{'table':14} {'rows':>6} {'validation':>10} {'network':>9} {'linear':>9} {'trees':>9}  {'':7} chosen"


def measure(called: str, seed: int, trials: int | None = None) -> str:
    """One table from its file to its scores, in the working directory, as a line."""
    name = f"my_{called}"
    table(called, seed).to_csv(f"{called}.csv", index=False)
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        if main(["init", name, f"{called}.csv", "--target", "target", "--yes"]):
            raise SystemExit(said.getvalue())
        params = load().model_copy(update={"seed": seed})
        if trials is not None:
            params = params.model_copy(update={"tasks": {name: _drawn(params.task(name), trials)}})
        resolved = of_task(params, name)
        for stage in STAGES:
            stage.work(resolved[stage.__name__.rpartition(".")[2]])
    task, data = params.task(name), load_data(name)
    beside = compared(
        *(data.train, data.schema, data.scaler, {"test": data.test}),
        *(task.train.of_baselines, params.seed, task.tolerance),
    )
    own, validation = (_own(name, data, examples) for examples in (data.test, data.validation))
    linear, trees = (beside[each]["test"]["score"]["value"] for each in ("linear", "trees"))
    best = max(linear, trees)
    close = own.value >= (best - POINT if data.schema.is_classification else best * (1 - SHARE))
    verdict = "tie" if close else "chance" if own.high >= best else "loses"
    rows = len(data.train) + len(data.validation) + len(data.test)
    figures = f"{validation.value:10.3f} {own.value:9.3f} {linear:9.3f} {trees:9.3f}"
    chosen = read_json(Path("reports", name, "selected.json"))
    chosen = f"{chosen['model']}, batch {chosen['batch_size']}, rate {chosen['learning_rate']:g}"
    return f"{called:14} {rows:6,} {figures}  {verdict:7} {chosen}"


def _drawn(task: Task, trials: int) -> Task:
    sweep = SearchParams(trials=trials, epochs=task.sweep.epochs, rows=task.sweep.rows)
    return task.model_copy(update={"sweep": sweep})


def _own(name: str, data: TaskData, examples: Batch) -> Score:
    """The network's on some examples."""
    answer = inference(load_network(Path("models", name, "natural")))
    found = np.concatenate([answer(examples.x[part]).numpy() for part in slices(len(examples), AT_ONCE)])
    answers = found.argmax(axis=1) if data.schema.is_classification else found[:, 0]
    return clean_score(answers, examples, data.schema, float(data.train.y.mean(dtype=float)))


def run() -> None:
    """Measure the named tables, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--seed", type=int, default=SEED, help="of the tables that are drawn, and of all splits")
    parser.add_argument("--trials", type=int, metavar="N", help="draw so many networks instead of a grid of six")
    given = parser.parse_args()
    project = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(project / "params.yaml", folder)
        os.chdir(folder)
        print(HEAD, flush=True)
        for name in given.names or NAMES:
            print(measure(name, given.seed, given.trials), flush=True)
        os.chdir(project)


if __name__ == "__main__":
    run()
