"""Follows the models folder beside the event loop, and lets what it finds take the place of what is served."""

import asyncio
import ctypes
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from serving import instance, meters, shadow
from serving.desk import Desk
from serving.moves import Follower
from serving.runtime import Runtime

log = logging.getLogger("bentoml.redoubt")

# Seconds between two looks.
PERIOD = 2.0


class Watch:
    """Keeps a desk up to date for as long as `run` runs."""

    def __init__(self, desk: Desk, follower: Follower, models: Path) -> None:
        """Serve at a desk what a follower finds.

        Args:
            desk: answers.
            follower: looks at the models folder.
            models: that folder, where challengers are looked for too.
        """
        self._desk, self._follower, self._models = desk, follower, models
        self._moving = asyncio.Lock()

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        # Before anybody replaces it.
        await asyncio.to_thread(self._follower.keep)
        try:
            # The service was ready without them.
            setting = os.environ.get(shadow.VARIABLE, "")
            self._desk.shadows = await asyncio.to_thread(
                shadow.load, setting, self._models, self._desk.runtime.champions
            )
            while True:
                await asyncio.sleep(PERIOD)
                await self._round()
        finally:
            for each in self._desk.shadows.values():
                each.close()

    async def _round(self) -> None:
        self._desk.tell()
        self._desk.tidy()
        try:
            meters.bury(instance.folder() / "metrics")
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
            if new:
                self._desk.tidy()
                await asyncio.to_thread(give_back)
        return runtime


def give_back() -> None:
    """Give memory that nothing uses any more back to the system, where its library of C knows how."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
