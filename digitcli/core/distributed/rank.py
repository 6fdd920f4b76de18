"""Which of several processes this is, as torchrun tells it; asking needs no torch."""

import os
from dataclasses import dataclass

from digitcli.core.errors import DigitcliError


@dataclass(frozen=True)
class Rank:
    """This process among those that work together.

    Attributes:
        number: From 0; the first one shows and writes.
        size: How many they are.
    """

    number: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that shows and writes."""
        return self.number == 0

    def part(self, count: int) -> slice:
        """Returns which of so many things are this process's; parts differ by one at most."""
        return slice(count * self.number // self.size, count * (self.number + 1) // self.size)


def rank_from_environment() -> Rank:
    """Reads ``RANK`` and ``WORLD_SIZE``, as torchrun sets them; alone where they are not set.

    Raises:
        DigitcliError: They make no sense.
    """
    number, size = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    if not (number.isdecimal() and size.isdecimal() and int(number) < int(size)):
        raise DigitcliError(
            f"RANK is {number!r} and WORLD_SIZE {size!r}, which torchrun would not set",
            "unset them, or start with torchrun",
        )
    return Rank(int(number), int(size))
