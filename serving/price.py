"""What a run of so many inputs takes: so much for the first, and less for each that comes with it."""

from dataclasses import dataclass

# Weight of the newest run.
NEWEST = 0.1


@dataclass
class Price:
    """Seconds of a question's runs, as they were of late.

    Attributes:
        alone: of a run of one input.
        more: for each further input of a run.
    """

    alone: float
    more: float

    def of(self, inputs: int) -> float:
        """Seconds of a run of so many inputs."""
        return self.alone + self.more * (inputs - 1)

    def inputs(self, seconds: float, most: int) -> int:
        """How many inputs, at least one and at most so many, are run within some seconds."""
        if self.alone > seconds:
            return 1
        return 1 + int(min(most - 1, (seconds - self.alone) / self.more if self.more else most))

    def learn(self, inputs: int, seconds: float) -> None:
        """Take in what a run took."""
        if inputs == 1:
            self.alone += NEWEST * (seconds - self.alone)
            # Else runs of one would never show that longer ones have become cheap.
            self.more = min(self.more, self.alone)
        else:
            # Never nothing: of a busy moment the first one's price may be far too high.
            more = max((seconds - self.alone) / (inputs - 1), self.alone / 100)
            self.more += NEWEST * (more - self.more)
