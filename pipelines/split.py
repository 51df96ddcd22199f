"""Cut rows into training, validation and test, and training rows into folds."""

from pathlib import Path

from pipelines._stage import run
from redoubt.params.settings.stages import SplitSettings


def work(settings: SplitSettings) -> None:
    """Reads the raw data set; writes index arrays."""
    from redoubt.data import splits
    from redoubt.data.shared import dataset

    data = dataset.answered(dataset.read(Path("data/raw", settings.name)))
    split = splits.split(data.y, settings.kind, settings.split, data.test_from, settings.seed, data.by)
    splits.write(Path("data/splits", f"{settings.name}.npz"), split)


if __name__ == "__main__":
    run("split", SplitSettings, work)
