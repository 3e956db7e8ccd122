"""Work done ahead in threads."""

import collections
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

N_THREADS = 2  # numpy and pyarrow release the interpreter lock; more threads than this only wait for it


def in_threads(
    function: Callable,
    items: Iterable,
    n_threads: int = N_THREADS,
    n_ahead: int = 2 * N_THREADS,
    stop: Callable[[], None] = lambda: None,
) -> Generator[Any, None, None]:
    """Yields function(item) in order, computed for up to `n_ahead` items beyond the one that is yielded.

    Calls `stop` when no more results are wanted, so that threads need not wait in vain.
    """
    ahead: collections.deque[Future] = collections.deque()
    with ThreadPoolExecutor(n_threads) as pool:
        try:
            for item in items:
                ahead.append(pool.submit(function, item))
                del item  # or one more would be held
                if len(ahead) > n_ahead:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            stop()
            for future in ahead:
                future.cancel()
