"""TF Serving's REST interface."""

import json
from urllib.parse import urlparse

import numpy as np
import urllib3

from events.errors import ServingError
from events.higgs.columns import FEATURES
from serving.faults import FAILED, NOT_LOADED, REFUSED, TOO_SLOW, Unavailable, fault
from serving.request import OUTPUT, SIGNATURE, Model

# As TF Serving maps its status codes, http_server.cc: NOT_FOUND, INVALID_ARGUMENT and FAILED_PRECONDITION, and so on.
_KINDS = {404: NOT_LOADED, 400: REFUSED, 504: TOO_SLOW}
_UNAVAILABLE = 503


class RestScorer:
    """Scores events by POST requests to one server; may be called from many threads."""

    def __init__(self, url: str, model: Model, timeout_s: float, n_connections: int):
        """Prepares requests; connects at the first one.

        Raises:
          ServingError: the URL is none.
        """
        parts = urlparse(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ServingError(f"A server's URL is http://host:port. Received: {url!r}. Correct --url.")
        self.server = url.rstrip("/")
        self._address = f"{self.server}/v1/models/{model.path}:predict"
        timeout = urllib3.Timeout(connect=timeout_s, read=timeout_s)
        self._pool = urllib3.PoolManager(maxsize=n_connections, timeout=timeout, retries=False)

    def __call__(self, features: np.ndarray) -> object:
        """The answer for n events, from float32 [28, n].

        Raises:
          Unavailable: the server cannot be reached, or says so itself.
          ServingError: it refuses, is too slow, or answers something else.
        """
        inputs = {name: column.tolist() for name, column in zip(FEATURES, features, strict=True)}
        body = json.dumps({"signature_name": SIGNATURE, "inputs": inputs})
        try:
            response = self._pool.request(
                "POST", self._address, body=body, headers={"Content-Type": "application/json"}, redirect=False
            )
        except urllib3.exceptions.ReadTimeoutError:
            raise fault(TOO_SLOW, "no answer", self.server) from None
        except urllib3.exceptions.LocationValueError as error:
            raise ServingError(f"A server's URL is http://host:port. Received: {error}. Correct --url.") from None
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(_reason(error)) from None
        return self._read(response)

    def _read(self, response) -> object:
        if response.get_redirect_location():  # the events are for this server only, and so is the answer expected of it
            raise fault(FAILED, f"{response.status}: a redirect to {response.headers['Location']}", self.server)
        try:
            answer = json.loads(response.data)
        except (ValueError, RecursionError):
            answer = None
        if response.status == 200:
            try:
                return answer["outputs"][OUTPUT]
            except (KeyError, TypeError):
                raise fault(FAILED, f"an answer without {OUTPUT!r}", self.server) from None
        said = answer.get("error") if isinstance(answer, dict) else None
        said = said if isinstance(said, str) else response.data[:100].decode("utf-8", "replace")
        if response.status == _UNAVAILABLE:
            raise Unavailable(f"{response.status}: {said}")
        raise fault(_KINDS.get(response.status, FAILED), f"{response.status}: {said}", self.server)

    def close(self) -> None:
        """Closes the connections."""
        self._pool.clear()


def _reason(error: urllib3.exceptions.HTTPError) -> str:
    """What the system said, without urllib3's words around it."""
    cause = error.args[-1] if error.args else error
    return str(cause).split("] ")[-1].split(": ")[-1].rstrip(")'") or type(error).__name__
