"""How many threads NumPy's matrix products take."""

import os


def use_one_thread() -> None:
    """Has NumPy multiply on one thread, unless ``OPENBLAS_NUM_THREADS`` says how many.

    OpenBLAS, which PyPI's NumPy brings, starts a thread for every core, and they wait for each
    other busily. This network's products are over sooner than that pays: alone on two cores nothing
    is gained, and where other programs run beside it, a product takes ten times as long.

    It has an effect before NumPy is first imported, and none on torch where that brings MKL.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
