"""Work on a Dask cluster (extra `[cluster]`), whose workers have esnsim and see the same files."""

from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

from esnsim.errors import EsnsimError

PATIENCE = "20s"  # for a scheduler to answer
RETRIES = 2  # of an item whose worker died

T = TypeVar("T")
R = TypeVar("R")


def spread(work: Callable[[T], R], items: Sequence[T], address: str) -> Generator[R, None, None]:
    """`work(item)` for every item on the workers of the scheduler at `address`, as they finish.

    An item whose worker dies goes to another. What is not finished is cancelled when the
    generator ends: close it. Raises EsnsimError where there is no scheduler, or no worker lives.
    """
    try:
        from distributed import Client, as_completed
        from distributed.scheduler import KilledWorker
    except ImportError:
        raise EsnsimError("--scheduler needs Dask: pip install 'esnsim[cluster]'") from None
    try:
        client = Client(address, timeout=PATIENCE)
    except (OSError, ValueError, TypeError) as error:  # TimeoutError is an OSError; tls lacks keys
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise EsnsimError(
            f"no Dask scheduler answers at '{address}' ({reason}): give its address, such as "
            "tcp://127.0.0.1:8786"
        ) from None
    with client:
        futures = client.map(work, items, pure=False, retries=RETRIES)
        try:
            for future in as_completed(futures):
                yield future.result()
        except KilledWorker as error:
            raise EsnsimError(
                f"{error.task} ended several workers of the cluster: give them more memory; "
                "finished points are kept, --resume goes on"
            ) from None
        finally:
            client.cancel(futures)
