"""Cores and the threads of matrix products.

How many NumPy uses, and how torch gets the same results in any number.
"""

import os
import sys

_REPRODUCIBLE = "AUTO,STRICT"
"""The best instructions that the processor has, and sums in one order."""


def available_cores() -> int:
    """Returns the number of cores that this process may use; at least 1.

    This is the minimum of the computer's, of the process's affinity, and of the quota of its
    cgroup, which containers have.
    """
    import joblib  # slow to import

    return joblib.cpu_count()


def use_one_thread() -> None:
    """Limits NumPy's matrix products to one thread, unless ``OPENBLAS_NUM_THREADS`` is set.

    OpenBLAS, which PyPI's NumPy brings, starts a thread for every core, and its threads busy-wait.
    This network's products are too short for that: alone on two cores nothing is gained, and
    beside other busy programs a product takes ten times as long.

    Must be called before NumPy is first imported; without effect on torch where torch brings MKL.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def use_reproducible_sums() -> None:
    """Makes torch's matrix products independent of the number of threads, where torch brings MKL.

    Sets ``MKL_CBWR``, unless it is set (Intel, "Developer Guide for oneMKL", Obtaining Numerically
    Reproducible Results). Without effect once torch is imported.
    """
    if "torch" not in sys.modules:
        os.environ.setdefault("MKL_CBWR", _REPRODUCIBLE)


def sums_are_reproducible() -> bool:
    """Returns True if training gives the same weights in any number of threads; imports torch."""
    import torch

    return torch.backends.mkl.is_available() and "STRICT" in os.environ.get("MKL_CBWR", "")
