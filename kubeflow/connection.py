"""The way to a Kubeflow Pipelines server: kfp's client, with a limit on every call and one line for whatever fails.

kfp's own client waits for ever on a server that does not answer, follows redirects to other hosts, and reports in
tracebacks. Token and cookies go into the requests to the endpoint and nowhere else.
"""

import contextlib
import functools
import io
import json
import logging
import re
import ssl
import warnings
from collections.abc import Iterator

import kfp
import kfp_server_api
import urllib3

from events.errors import KubeflowError

TIMEOUT_S = 30

LOGIN = "Give a valid token with --token or HIGGS_KFP_TOKEN, or cookies with HIGGS_KFP_COOKIES"
MOVED = f"It redirects, maybe to a page to log in. {LOGIN}, or correct the endpoint."
REMEDIES = {
    **dict.fromkeys((301, 302, 303, 307, 308), MOVED),
    400: "Correct the request.",
    401: f"{LOGIN}.",
    403: "Ask for the permission, or use another token.",
    404: "Check the name and the endpoint.",
    409: "Choose another name.",
}
CHECK = "Check the endpoint and the network."
FAULTS = (
    (urllib3.exceptions.NewConnectionError, "no connection", CHECK),
    (urllib3.exceptions.TimeoutError, "no answer", CHECK),
    (
        urllib3.exceptions.SSLError,
        "a certificate that is not trusted",
        "Name the file of its authority's certificate with --ca or HIGGS_KFP_CA.",
    ),
    (Exception, "no proper answer", CHECK),
)


def connect(endpoint: str, token: str, cookies: str, ca: str, namespace: str) -> kfp.Client:
    """kfp's client for a server that has answered.

    Raises:
      KubeflowError: the endpoint is no URL, or the file holds no certificates.
    """
    if not re.match(r"https?://[^/\s]+", endpoint):
        raise KubeflowError(
            f"An endpoint is a URL. Received: {endpoint!r}. Write http://host:port or https://host with --endpoint "
            "or HIGGS_KFP_ENDPOINT."
        )
    if ca:
        try:
            ssl.create_default_context(cafile=ca)
        except OSError as error:  # of which ssl's own errors are a kind
            raise KubeflowError(
                f"An authority's file holds certificates as PEM. Received: {ca}: {error.strerror or error}. "
                "Correct --ca or HIGGS_KFP_CA."
            ) from None
    client = _Kfp(
        host=endpoint,
        existing_token=token or None,
        cookies=cookies or None,
        ssl_ca_cert=ca or None,
        namespace=namespace or "kubeflow",
    )
    client.get_kfp_healthz()
    return client


class _Kfp(kfp.Client):
    """kfp's client with a time limit on every call, and one attempt where it makes five."""

    def get_kfp_healthz(self, sleep_duration: int = 5):
        api = self._healthz_api
        if not hasattr(self, "_limited"):  # kfp's constructor calls this before it has an API to limit
            _limit(api.api_client.rest_client)
            self._limited = True
        # The generator of one generation of the API names its methods otherwise than that of the other.
        call = getattr(api, "healthz_service_get_healthz", None) or api.get_healthz
        return call()


def _limit(rest) -> None:
    request = rest.request

    def limited(*arguments, **options):
        return request(*arguments, **{**options, "_request_timeout": (TIMEOUT_S, TIMEOUT_S)})

    rest.request = limited
    rest.pool_manager.connection_pool_kw["retries"] = urllib3.Retry(0)
    rest.pool_manager.request = functools.partial(rest.pool_manager.request, redirect=False)


@contextlib.contextmanager
def reported(endpoint: str, action: str) -> Iterator[None]:
    """Turns what goes wrong between here and the server into one line."""
    try:
        with _quiet():
            yield
    except kfp_server_api.ApiException as error:
        remedy = REMEDIES.get(error.status, "Try again later, or look at the server's log.")
        raise KubeflowError(
            f"Kubeflow would not {action}. Received: {error.status} {_message(error)}. {remedy}"
        ) from None
    except urllib3.exceptions.HTTPError as error:
        cause = getattr(error, "reason", None) or error
        kind, remedy = next((words, remedy) for kind, words, remedy in FAULTS if isinstance(cause, kind))
        raise KubeflowError(
            f"Kubeflow must answer within {TIMEOUT_S} s. Received: {kind} from {endpoint} on the attempt to {action}. "
            f"{remedy}"
        ) from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps back what kfp prints, logs and warns of."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        disabled = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(disabled)


def _message(error) -> str:
    """The server's own words, shortened to one line."""
    try:
        body = json.loads(error.body)
        text = body.get("message") or body.get("error") or error.reason
    except (TypeError, ValueError, AttributeError):
        text = error.reason or "without a word"
    return " ".join(str(text).split()).rstrip(".")[:200]
