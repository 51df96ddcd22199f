"""Run one experiment of the course; write its numbers, figures and words."""

import argparse
import sys
import time
from pathlib import Path

from pipelines._lock import LockError
from pipelines._stage import begin, fail, item_of
from redoubt.data.store import StoreError, plain, write_json
from redoubt.params import Params, ParamsError, load
from redoubt.quiet import no_stderr
from redoubt.runs import RunRecord
from redoubt.studies.catalogue import find
from redoubt.studies.contract import Result, StudyError
from redoubt.studies.files import write
from redoubt.studies.given import Given
from redoubt.studies.sizes import sizes_of

STUDIES = Path("reports/studies")
TASK = "course"


def main() -> None:
    """Run the study named on the command line at the size that params.yaml asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.study",
        description=f"{__doc__} Usually started by `dvc repro`; reads params.yaml. By hand: `redoubt study NAME`.",
    )
    parser.add_argument("name", help="a study of params.yaml, such as polynomial; or DVC's name of the stage for it")
    name = item_of("study", parser.parse_args().name)
    try:
        begin()
        work(load(), name)
    except (LockError, ParamsError, StoreError) as error:
        sys.exit(f"error: study@{name}: {error}")
    except StudyError as error:
        fail(f"study@{name}", TASK, name, error)


def work(params: Params, name: str) -> None:
    """Run a study; write reports/studies/NAME and its record."""
    started = time.perf_counter()
    full = params.course == "full"
    # Where a study imports TensorFlow is its own affair; its chatter is nobody's.
    with no_stderr():
        study = find(name)
        sizes = sizes_of(name, study, params, full=full)
        result = study.run(Given(course=full, seed=params.seed), sizes, params.seed)
    settings = {"name": name, "seed": params.seed, "sizes": plain(sizes.model_dump())}
    write(STUDIES / name, study, result, settings)
    write_json(STUDIES / "records" / f"{name}.json", _record(name, params, result).model_dump())
    print(f"study@{name}: {time.perf_counter() - started:.1f} s", file=sys.stderr)


def _record(name: str, params: Params, result: Result) -> RunRecord:
    return RunRecord(
        run=name,
        stage="study",
        task=TASK,
        params={"seed": params.seed, "size": params.course},
        metrics={key: float(value) for key, value in result.numbers.items()},
        tags={"data": result.origin.en},
        artifacts=[str(STUDIES / name)],
    )


if __name__ == "__main__":
    main()
