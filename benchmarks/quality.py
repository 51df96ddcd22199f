"""The natural network beside what a practitioner would take, on the tables of `table_sets` and on one split each.

What `init` proposes was chosen while looking at the test scores of seeds 20 to 22: other seeds draw other tables and
splits (of the bundled tables other splits alone), on which nothing was chosen.

python -m benchmarks.quality [NAME ...] [--seed N] has `redoubt init` propose a task for each, runs the stages up
to `train`, and prints the test scores of the network, of logistic or ridge regression, and of gradient-boosted trees
(balanced accuracy, or R2). A tie is a point of balanced accuracy or 2 % of R2; `chance` says that the 95 % interval of
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
from pipelines._data import load_data
from redoubt.bundle.batches import slices
from redoubt.cli import main
from redoubt.core.store import read_json
from redoubt.evaluation.baselines import clean_score, compared
from redoubt.models.saved import load_network
from redoubt.params.load import load
from redoubt.params.resolve import of_task
from redoubt.training.fit import inference

STAGES = (ingest, split, scale, sweep, train)
# What counts as a tie.
POINT, SHARE = 0.01, 0.02
AT_ONCE, SEED = 2048, 31
HEAD = f"{'table':14} {'rows':>6} {'network':>9} {'linear':>9} {'trees':>9}  {'':7} chosen"


def measure(called: str, seed: int) -> str:
    """One table from its file to its scores, in the working directory, as a line."""
    name = f"my_{called}"
    table(called, seed).to_csv(f"{called}.csv", index=False)
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        if main(["init", name, f"{called}.csv", "--target", "target", "--yes"]):
            raise SystemExit(said.getvalue())
        params = load().model_copy(update={"seed": seed})
        resolved = of_task(params, name)
        for stage in STAGES:
            stage.work(resolved[stage.__name__.rpartition(".")[2]])
    task, data = params.task(name), load_data(name)
    beside = compared(
        *(data.train, data.schema, data.scaler, {"test": data.test}),
        *(task.train.of_baselines, params.seed, task.tolerance),
    )
    answer = inference(load_network(Path("models", name, "natural")))
    found = np.concatenate([answer(data.test.x[part]).numpy() for part in slices(len(data.test), AT_ONCE)])
    answers = found.argmax(axis=1) if data.schema.is_classification else found[:, 0]
    own = clean_score(answers, data.test, data.schema, float(data.train.y.mean(dtype=float)))
    linear, trees = (beside[each]["test"]["score"]["value"] for each in ("linear", "trees"))
    best = max(linear, trees)
    close = own.value >= (best - POINT if data.schema.is_classification else best * (1 - SHARE))
    verdict = "tie" if close else "chance" if own.high >= best else "loses"
    rows = len(data.train) + len(data.validation) + len(data.test)
    figures = f"{own.value:9.3f} {linear:9.3f} {trees:9.3f}"
    chosen = read_json(Path("reports", name, "selected.json"))
    chosen = f"{chosen['model']}, batch {chosen['batch_size']}, rate {chosen['learning_rate']:g}"
    return f"{called:14} {rows:6,} {figures}  {verdict:7} {chosen}"


def run() -> None:
    """Measure the named tables, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--seed", type=int, default=SEED, help="of the tables that are drawn, and of all splits")
    given = parser.parse_args()
    project = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(project / "params.yaml", folder)
        os.chdir(folder)
        print(HEAD, flush=True)
        for name in given.names or NAMES:
            print(measure(name, given.seed), flush=True)
        os.chdir(project)


if __name__ == "__main__":
    run()
