"""What can go wrong between a client and a server, each as one line: the rule, what was received, the remedy."""

import random
import threading

from events.errors import ServingError

FIRST_DELAY_S, LONGEST_DELAY_S = 0.25, 8.0
SHOWN_CHARACTERS = 300  # of what a server said

# Kinds of faults: the rule that is broken, and the remedy.
NOT_LOADED = "The model must be loaded.", "Check --model, --version and --canary against what the server has loaded."
REFUSED = "The model must accept the request.", "Check --batch-size, or serve a model that `higgs run` pushed."
TOO_SLOW = "The server must answer in time.", "Raise --timeout, or lower --batch-size or --concurrency."
FAILED = "The server must answer with probabilities.", "Check its address, and its log."


class Unavailable(Exception):
    """The server cannot be reached or cannot answer now; asking again may help."""


def fault(kind: tuple[str, str], received: object, server: str) -> ServingError:
    """The error for one kind of fault."""
    rule, remedy = kind
    return ServingError(f"{rule} Received: {shorten(received)} from {server}. {remedy}")


def shorten(text: object) -> str:
    """What a server said, on one line."""
    return " ".join(str(text).split())[:SHOWN_CHARACTERS].rstrip(".")


class Retries:
    """Asks again while the server is unavailable, each time after about twice as long."""

    def __init__(self, n_retries: int, server: str):
        self._n_retries = n_retries
        self._server = server
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Ends all waiting; for when the answers are no longer needed."""
        self._stopped.set()

    def __call__(self, function, *arguments):
        """Returns function(*arguments).

        Raises:
          ServingError: the server stayed unavailable.
        """
        for n_tries in range(1, self._n_retries + 2):
            try:
                return function(*arguments)
            except Unavailable as error:
                last = error
            delay_s = min(FIRST_DELAY_S * 2 ** (n_tries - 1), LONGEST_DELAY_S)
            if n_tries > self._n_retries or self._stopped.wait(random.uniform(delay_s / 2, delay_s)):
                break
        tries = "1 try" if n_tries == 1 else f"{n_tries} tries"
        raise ServingError(
            f"The server must be up. Received: {shorten(last)} from {self._server} after {tries}. "
            "Start it, correct its address, or raise --retries."
        )
