"""This process's rank among those that torchrun started; asking for it needs no torch."""

import os
from dataclasses import dataclass

from digitcli.core.errors import DigitcliError


@dataclass(frozen=True)
class Rank:
    """This process among those that train together.

    Attributes:
        rank: Its number, from 0; process 0 prints and writes.
        size: Number of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """True if this is process 0, which prints and writes."""
        return self.rank == 0

    def shard(self, count: int) -> slice:
        """Returns this process's share of ``count`` items; shares differ by at most one."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)


def rank_from_environment() -> Rank:
    """Reads ``RANK`` and ``WORLD_SIZE`` as torchrun sets them; one process if they are not set.

    Raises:
        DigitcliError: They are not numbers, or contradict each other.
    """
    rank, size = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    if not (rank.isdecimal() and size.isdecimal() and int(rank) < int(size)):
        raise DigitcliError(
            f"RANK is {rank!r} and WORLD_SIZE {size!r}, which torchrun would not set",
            "unset them, or start with torchrun",
        )
    return Rank(int(rank), int(size))
