"""One way to map work over the cores of this machine, with a progress bar."""

from collections.abc import Callable, Sequence
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
    parallel = joblib.Parallel(n_jobs=min(len(jobs), joblib.cpu_count()), return_as="generator")
    results = parallel(joblib.delayed(work)(*job) for job in jobs)
    return list(progress_bar(results, total=len(jobs), desc=label, unit="job"))
