"""One way to map work over the cores of this machine, with a progress bar."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import joblib

from redoubt.progress import progress_bar


def spread(work: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], label: str) -> list[Any]:
    """Call `work(*job)` for every job, in parallel processes.

    Args:
        work: an importable function; its results do not depend on which process runs it.
        jobs: arguments per call.
        label: shown beside the bar.

    Returns:
        The results in the order of the jobs.
    """
    return list(progress_bar(results_of(work, jobs, len(jobs)), total=len(jobs), desc=label, unit="job"))


def results_of(work: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], most: int) -> Iterator[Any]:
    """Like `spread`, each result as soon as it and those before it are there; for callers with a bar of their own.

    Args:
        work: see `spread`.
        jobs: likewise.
        most: processes, if there are as many cores; the same in every call keeps those of the last one.
    """
    parallel = joblib.Parallel(n_jobs=min(most, joblib.cpu_count()), return_as="generator")
    results: Iterator[Any] = parallel(joblib.delayed(work)(*job) for job in jobs)
    return results
