"""Asks TF Serving, by REST, whether it has loaded a version."""

import json
import time

import urllib3

LOAD_WAIT_S = 120.0  # for reading models.config, every 10 s, and for three tries to load, 20 s apart
ASK_EVERY_S = 0.5


class NoAnswerError(Exception):
    """The server did not say what became of the version; the message is the reason."""


def wait_until_loaded(url: str, name: str, version: int) -> str:
    """Waits until a server has loaded a version or given up.

    Args:
      url: of its REST interface.
      name: of the model, as models.config has it.
      version: its number.

    Returns:
      Nothing if the version is loaded, or why it is not.

    Raises:
      NoAnswerError: the server cannot be reached.
    """
    address = f"{url.rstrip('/')}/v1/models/{name}/versions/{version}"
    deadline = time.monotonic() + LOAD_WAIT_S
    with urllib3.PoolManager(timeout=10.0, retries=False) as pool:
        while True:
            state, reason = _ask(pool, address)
            if state == "AVAILABLE":
                return ""
            if state == "END":
                return reason
            if time.monotonic() > deadline:
                return f"{state or 'unknown'} after {LOAD_WAIT_S:.0f} s{f': {reason}' if reason else ''}"
            time.sleep(ASK_EVERY_S)


def _ask(pool: urllib3.PoolManager, address: str) -> tuple[str, str]:
    """The version's state, empty while the server has not heard of it, and what is wrong with it."""
    try:
        response = pool.request("GET", address, redirect=False)
        answer = json.loads(response.data)
        if response.status == 404:
            return "", ""
        [status] = answer["model_version_status"]
        return str(status["state"]), " ".join(str(status.get("status", {}).get("error_message", "")).split())
    except urllib3.exceptions.HTTPError as error:
        raise NoAnswerError(str(error)) from None
    except (LookupError, RecursionError, TypeError, ValueError, AttributeError):
        raise NoAnswerError(f"{response.status}: {response.data[:100]!r}") from None
