"""Take params.yaml apart for the course: for each study a file with its sizes and the digests of its code."""

import argparse
import sys
from typing import get_args

from pipelines._lock import LockError
from pipelines._stage import begin, item_of
from redoubt.bundle.base.io import digest
from redoubt.code import SRC, closure
from redoubt.core.store import StoreError, whole_folder, write_json
from redoubt.params.load import Params, load
from redoubt.params.resolve import of_report, sizes_of_study
from redoubt.params.settings.base import ParamsError
from redoubt.params.settings.stages import FOLDER, Course, StudySettings
from redoubt.studies.catalogue import module_of
from redoubt.studies.contract import StudyError

SIZES: tuple[Course, ...] = get_args(Course)


def main() -> None:
    """Write resolved/studies/NAME.json for the studies of params.yaml at the size named, and resolved/report.json."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.resolve_course", description=f"{__doc__} Reads params.yaml."
    )
    parser.add_argument("course", help=f"{' or '.join(SIZES)}; or DVC's name of the stage for it")
    given = item_of("resolve_course", parser.parse_args().course)
    course = next((each for each in SIZES if each == given), None)
    if course is None:
        sys.exit(f"error: resolve_course: the course is {' or '.join(SIZES)}; got {given[:80]!r}")
    try:
        begin()
        work(course)
    except (LockError, ParamsError, StoreError, StudyError) as error:
        sys.exit(f"error: {error}")


def work(course: Course) -> None:
    """Read params.yaml and the studies' code; write the settings of each, whole and nothing else."""
    params = load()
    with whole_folder(FOLDER / "studies") as folder:
        for name in params.studies:
            write_json(folder / f"{name}.json", _study(params, name, course).model_dump(mode="json"))
    write_json(FOLDER / "report.json", of_report(params).model_dump(mode="json"))


def _study(params: Params, name: str, course: Course) -> StudySettings:
    """A study's settings, with all of its code: in dvc.yaml every study has the same dependencies but for its name."""
    module = module_of(name)
    files = {*closure(module), *closure("pipelines.study")}
    code = {path.relative_to(SRC.parent).as_posix(): digest(path.read_bytes()) for path in files}
    sizes = sizes_of_study(params, name, course)
    return StudySettings(name=name, module=module, course=course, sizes=sizes, code=code, seed=params.seed)


if __name__ == "__main__":
    main()
