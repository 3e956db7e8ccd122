"""Work done ahead in threads."""

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

N_THREADS = 2  # numpy and pyarrow release the interpreter lock; more threads than this only wait for it


def in_threads(function: Callable, items: Iterable, n_threads: int = N_THREADS) -> Iterator[Any]:
    """Yields function(item) in order, computed ahead for a few items."""
    ahead: collections.deque[Future] = collections.deque()
    with ThreadPoolExecutor(n_threads) as pool:
        try:
            for item in items:
                ahead.append(pool.submit(function, item))
                if len(ahead) > 2 * n_threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()
