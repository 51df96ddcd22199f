"""Follows the models folder beside the event loop, and lets what it finds take the place of what is served."""

import asyncio
import logging
from collections.abc import Callable

from serving import instance, meters
from serving.desk import Desk
from serving.moves import Follower
from serving.runtime import Runtime

log = logging.getLogger("bentoml.redoubt")

# Seconds between two looks.
PERIOD = 2.0


class Watch:
    """Keeps a desk up to date for as long as `run` runs."""

    def __init__(self, desk: Desk, follower: Follower) -> None:
        """Serve at a desk what a follower finds."""
        self._desk, self._follower = desk, follower
        self._moving = asyncio.Lock()

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        # Before anybody replaces it.
        await asyncio.to_thread(self._follower.keep)
        while True:
            await asyncio.sleep(PERIOD)
            self._desk.tell()
            self._desk.tidy()
            meters.bury(instance.folder() / "metrics")
            try:
                await self._move(self._follower.look)
            except Exception:
                log.exception("the models folder could not be looked at")

    async def reload(self) -> Runtime:
        """Serve what lies in the folder now."""
        return await self._move(lambda: self._follower.look(at_once=True))

    async def roll_back(self, task: str) -> Runtime:
        """Serve what was served before; see `Follower.roll_back`."""
        return await self._move(lambda: self._follower.roll_back(task))

    async def _move(self, find: Callable[[], Runtime]) -> Runtime:
        async with self._moving:
            runtime = await asyncio.to_thread(find)
            new = set(runtime.champions.values()) - set(self._desk.runtime.champions.values())
            for champion in new:
                await asyncio.to_thread(self._desk.learn, champion)
            # One assignment in the event loop: whoever has been read before it is answered by the former champion,
            # whoever is read after it by the new one, and nobody by both.
            self._desk.serve(runtime)
        return runtime
