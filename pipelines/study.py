"""Run one experiment of the course; write its numbers, figures and words."""

import argparse
import sys
import time
from pathlib import Path

from pipelines._stage import begin, fail, item_of
from redoubt.core.errors import ends_in_one_line
from redoubt.core.store import plain, write_json
from redoubt.params.settings.stages import StudySettings, read_settings
from redoubt.quiet import no_stderr
from redoubt.runs import RunRecord
from redoubt.studies.contract import Result, StudyError
from redoubt.studies.files import write
from redoubt.studies.given import Given
from redoubt.studies.sizes import load_study, sizes_of
from redoubt.tracking.uri import check_kind, store_uri
from redoubt.training.block_sizes import pin_block_sizes

STUDIES = Path("reports/studies")
TASK = "course"


def main() -> None:
    """Run the study named on the command line at the size that was resolved for it."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.study",
        description=f"{__doc__} Usually started by `dvc repro`. By hand: `redoubt study NAME`.",
    )
    parser.add_argument("name", help="a study of params.yaml, such as polynomial; or DVC's name of the stage for it")
    name = item_of("study", parser.parse_args().name)
    with ends_in_one_line(f"study@{name}: "):
        try:
            check_kind(store_uri(Path.cwd()))
            begin()
            work(read_settings(StudySettings, Path("studies", f"{name}.json")))
        except StudyError as error:
            fail(f"study@{name}", TASK, name, error)


def work(settings: StudySettings) -> None:
    """Run a study; write reports/studies/NAME and its record."""
    started, name, seed = time.perf_counter(), settings.name, settings.seed
    # Where a study imports TensorFlow is its own affair; its chatter is nobody's.
    with no_stderr():
        study = load_study(settings.module)
        sizes = sizes_of(name, study, settings.sizes)
        pin_block_sizes()
        result = study.run(Given(course=settings.course == "full", seed=seed), sizes, seed)
    write(STUDIES / name, study, result, {"name": name, "seed": seed, "sizes": plain(sizes.model_dump())})
    write_json(STUDIES / "records" / f"{name}.json", _record(settings, result).model_dump())
    print(f"study@{name}: {time.perf_counter() - started:.1f} s", file=sys.stderr)


def _record(settings: StudySettings, result: Result) -> RunRecord:
    return RunRecord(
        run=settings.name,
        stage="study",
        task=TASK,
        params={"seed": settings.seed, "size": settings.course},
        metrics={key: float(value) for key, value in result.numbers.items()},
        tags={"data": result.origin.en},
        artifacts=[str(STUDIES / settings.name)],
    )


if __name__ == "__main__":
    main()
