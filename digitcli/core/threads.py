"""The number of threads of NumPy's matrix products."""

import os


def use_one_thread() -> None:
    """Limits NumPy's matrix products to one thread, unless ``OPENBLAS_NUM_THREADS`` is set.

    OpenBLAS, which PyPI's NumPy brings, starts a thread for every core, and its threads busy-wait.
    This network's products are too short for that: alone on two cores nothing is gained, and
    beside other busy programs a product takes ten times as long.

    Must be called before NumPy is first imported; without effect on torch where torch brings MKL.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
