"""Work that is shared among the processes of torchrun: the first leads, and the others help.

The first runs the command: it alone reads what there is to do, shows and writes. The others do what
it hands them. Here torch is what they talk by, and is not imported where a process is alone.
"""

import itertools
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar, cast

from digitcli.core.errors import DigitcliError
from digitcli.core.ranks import Rank, own_rank

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_BLOCK = 64
"""Items that a process is handed at a time: their results are what is kept in memory of each."""

_PATIENCE = timedelta(days=1)
"""A list of names, or a download, may be long in coming; who misses a process knows it at once."""


class Fleet(Rank):
    """This process among those that share the work of a command."""

    def share(
        self,
        work: Callable[[Iterable[_Item]], Iterable[_Result]],
        items: Iterable[_Item | None],
        block: int = _BLOCK,
    ) -> Iterator[_Result]:
        """Has all processes work on items, in rounds; the first one asks for it.

        Args:
            work: Gives a result for each item, in their order. It is sent to the others by pickle,
                as items and results are.
            items: Drawn from only as far as they are needed. None among them says that the next may
                be long in coming, so that nothing is kept back for it.
            block: Items that each process has in a round, at most.

        Yields:
            What one process would have made, in the same order.

        Raises:
            DigitcliError: As ``work`` does, in whichever process.
        """
        if self.size == 1:
            yield from work(cast("Iterable[_Item]", items))
            return
        self._order([work] * self.size)
        for waiting in _rounds(items, block * self.size):
            own, *_ = parts = [
                waiting[Rank(number, self.size).part(len(waiting))] for number in range(self.size)
            ]
            self._order(parts)
            for number, results in enumerate(self._results(_do(work, own))):
                if isinstance(results, DigitcliError):
                    raise DigitcliError(
                        f"process {number}: {results.problem}",
                        results.next_step,
                        exit_code=results.exit_code,
                    )
                yield from results

    def help(self) -> int:
        """Does what the first process hands out, until that ends.

        Returns:
            The exit code that it ends with.
        """
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # the first one tells that it was stopped
        work: Any = None
        while True:
            order = self._order([None] * self.size)
            if isinstance(order, int):
                return order
            if isinstance(order, list):
                self._results(_do(work, order))
            else:
                work = order

    def end(self, code: int) -> None:
        """Lets the others end too, when all is shown and written.

        Args:
            code: The exit code of all.
        """
        if self.size > 1:
            self._order([code] * self.size)

    def _order(self, orders: list[Any]) -> Any:
        """Hands out what the first process has for each: work, items to do it on, an exit code."""
        import torch.distributed as dist

        received = [None]
        dist.scatter_object_list(received, orders)
        return received[0]

    def _results(self, own: Any) -> list[Any]:
        """Returns what each process made of its items; the first one gets it."""
        import torch.distributed as dist

        results = [None] * self.size if self.is_first else None
        dist.gather_object(own, results)
        return results or []


ALONE = Fleet()


def own_fleet() -> Fleet:
    """Returns this process among those that torchrun started.

    Raises:
        DigitcliError: What torchrun sets makes no sense.
    """
    rank = own_rank()
    return Fleet(rank.number, rank.size)


@contextmanager
def join_fleet() -> Iterator[Fleet]:
    """Joins the processes that torchrun started, until the block ends; a single one is alone.

    Raises:
        DigitcliError: The others cannot be reached.
        OthersGoneError: One of them has ended before this one.
    """
    fleet = own_fleet()
    if fleet.size == 1:
        yield fleet
        return
    import torch

    from digitcli.core.world import join

    with join(torch.device("cpu"), patience=_PATIENCE):
        yield fleet


def _rounds(items: Iterable[_Item | None], size: int) -> Iterator[list[_Item]]:
    waiting: list[_Item] = []
    for item in itertools.chain(items, [None]):
        if item is not None:
            waiting.append(item)
        if waiting and (item is None or len(waiting) == size):
            yield waiting
            waiting = []


def _do(
    work: Callable[[Iterable[_Item]], Iterable[_Result]], items: list[_Item]
) -> list[_Result] | DigitcliError:
    try:
        return list(work(items))
    except DigitcliError as error:
        return error
