"""Runs and schedules on a Kubeflow Pipelines server, through kfp's client.

kfp's own client waits for ever on a server that does not answer, and reports in tracebacks: here every call ends in
time, and whatever fails is one line. The token goes into the requests and nowhere else.
"""

import contextlib
import functools
import io
import json
import logging
import re
import time
import warnings
from collections.abc import Callable, Iterator

import kfp
import kfp_server_api
import urllib3

from kubeflow.errors import KubeflowError

TIMEOUT_S = 30
SUCCEEDED = "SUCCEEDED"
ENDED = (SUCCEEDED, "FAILED", "SKIPPED", "CANCELED", "ERROR")
PAGE = 100

REMEDIES = {
    400: "Correct the request.",
    401: "Give a valid token with --token or HIGGS_KFP_TOKEN.",
    403: "Ask for the permission, or use another token.",
    404: "Check the name and the endpoint.",
    409: "Choose another name.",
} | dict.fromkeys((301, 302, 303, 307, 308), "It points elsewhere, where no token goes: name that endpoint, or log in.")


class _Kfp(kfp.Client):
    """kfp's client with a time limit on every call, one attempt where it makes five, and no redirects."""

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
    # To another host, urllib3 would go without the token, but with the pipeline, and take its word for the server's.
    rest.pool_manager.request = functools.partial(rest.pool_manager.request, redirect=False)
    rest.pool_manager.connection_pool_kw["retries"] = urllib3.Retry(0)


class Client:
    """Experiments, runs and schedules of one server."""

    def __init__(self, endpoint: str, token: str = "", namespace: str = "", service_account: str = ""):
        """Connects.

        Args:
          endpoint: the server's URL.
          token: a bearer token; empty for none.
          namespace: the profile's, where Kubeflow serves several users; empty for the server's one.
          service_account: who the tasks run as; empty for Kubeflow's own.

        Raises:
          KubeflowError: there is no such server, or it refuses.
        """
        if not re.match(r"https?://[^/\s]+", endpoint):
            raise KubeflowError(
                f"An endpoint is a URL. Received: {endpoint!r}. Write http://host:port or https://host with --endpoint "
                "or HIGGS_KFP_ENDPOINT."
            )
        self.endpoint = endpoint.rstrip("/")
        with self._reported(f"talk to {self.endpoint}"):
            self._kfp = _Kfp(host=self.endpoint, existing_token=token or None)
            self._kfp.get_kfp_healthz()
        self._namespace, self._service_account = namespace or None, service_account or None

    def submit(self, package: str, experiment: str, name: str, parameters: dict, root: str) -> str:
        """Starts a run and returns its ID.

        Args:
          package: the compiled YAML file.
          experiment: its name; it is made if there is none.
          name: the run's.
          parameters: run-time parameters.
          root: the folder for the artifacts of this run alone.
        """
        with self._reported(f"start {name}"):
            run = self._kfp.run_pipeline(
                self._experiment(experiment),
                name,
                package,
                params=parameters,
                pipeline_root=root,
                service_account=self._service_account,
            )
        return run.run_id

    def link(self, run_id: str) -> str:
        """The page of a run."""
        return f"{self.endpoint}/#/runs/details/{run_id}"

    def wait(
        self, run_id: str, timeout_s: float, sleep: Callable[[float], None] = time.sleep
    ) -> Iterator[tuple[str, str]]:
        """Follows a run to its end.

        Args:
          run_id: the run's.
          timeout_s: how long to follow it.
          sleep: waits for so many seconds.

        Yields:
          Each task's name and state when the state is new, and last the whole run's under the name "run".

        Raises:
          KubeflowError: the run did not succeed, or has not ended in time.
        """
        end, states, pause_s = time.monotonic() + timeout_s, {}, 1.0
        while True:
            with self._reported(f"follow run {run_id}"):
                run = self._kfp.get_run(run_id)
            tasks = (run.run_details and run.run_details.task_details) or []
            for name, state in [(task.display_name, task.state) for task in tasks] + [("run", run.state)]:
                if state and states.get(name) != state:
                    states[name] = state
                    yield name, state
            if run.state in ENDED:
                break
            if time.monotonic() > end:
                raise KubeflowError(
                    f"A run is followed for {timeout_s:g} s. Received: {run.state} after that. "
                    f"It goes on: {self.link(run_id)}. Follow it longer with --timeout."
                )
            sleep(pause_s)
            pause_s = min(pause_s * 1.5, 15.0)
        if run.state != SUCCEEDED:
            failed = [name for name, state in states.items() if state == "FAILED" and name != "run"]
            raise KubeflowError(
                f"A run must succeed. Received: {run.state}{' in ' + ', '.join(failed) if failed else ''}. "
                f"See {self.link(run_id)}."
            )

    def schedule(self, package: str, experiment: str, name: str, parameters: dict, root: str, cron: str) -> str:
        """Starts a run at each time that a cron expression names; returns the schedule's ID.

        Every task of every run does its work: with unchanged parameters, a cache would see nothing to do. Runs do not
        overlap, and what was missed during a pause is not made up for.
        """
        if any(schedule.display_name == name for schedule in self.schedules()):
            raise KubeflowError(
                f"A schedule's name is its own. Received: {name}, which exists. Delete it, or choose another."
            )
        with self._reported(f"schedule {name}"):
            schedule = self._kfp.create_recurring_run(
                self._experiment(experiment),
                name,
                cron_expression=cron,
                max_concurrency=1,
                no_catchup=True,
                params=parameters,
                pipeline_package_path=package,
                pipeline_root=root,
                enable_caching=False,
                service_account=self._service_account,
            )
        return schedule.recurring_run_id

    def schedules(self) -> list:
        """All schedules, as kfp_server_api.V2beta1RecurringRun."""
        found, token = [], ""
        while True:
            with self._reported("list the schedules"):
                page = self._kfp.list_recurring_runs(page_token=token, page_size=PAGE, namespace=self._namespace)
            found += page.recurring_runs or []
            token = page.next_page_token
            if not token:
                return found

    def pause(self, name: str) -> None:
        """Lets a schedule start no runs."""
        with self._reported(f"pause {name}"):
            self._kfp.disable_recurring_run(self._schedule_id(name))

    def resume(self, name: str) -> None:
        """Lets a paused schedule go on."""
        with self._reported(f"resume {name}"):
            self._kfp.enable_recurring_run(self._schedule_id(name))

    def delete(self, name: str) -> None:
        """Deletes a schedule; its runs stay."""
        with self._reported(f"delete {name}"):
            self._kfp.delete_recurring_run(self._schedule_id(name))

    def _schedule_id(self, name: str) -> str:
        schedules = self.schedules()
        matching = [schedule.recurring_run_id for schedule in schedules if schedule.display_name == name]
        if len(matching) != 1:
            names = ", ".join(sorted(schedule.display_name for schedule in schedules)) or "none"
            raise KubeflowError(f"A schedule is known by its name. Received: {name!r}. There are: {names}.")
        return matching[0]

    def _experiment(self, name: str) -> str:
        experiment = self._kfp.create_experiment(name, namespace=self._namespace)
        if not experiment.experiment_id:
            raise KubeflowError(
                f"An endpoint answers as Kubeflow does. Received: something else from {self.endpoint}, such as a "
                "page to log in. Give a token with --token or HIGGS_KFP_TOKEN, or correct the endpoint."
            )
        return experiment.experiment_id

    @contextlib.contextmanager
    def _reported(self, action: str) -> Iterator[None]:
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
            kinds = urllib3.exceptions.NewConnectionError, urllib3.exceptions.TimeoutError
            words = "no connection", "no answer", type(cause).__name__
            kind = next((word for kind, word in zip(kinds, words, strict=False) if isinstance(cause, kind)), words[-1])
            raise KubeflowError(
                f"Kubeflow must answer within {TIMEOUT_S} s. Received: {kind} from {self.endpoint} on the attempt to "
                f"{action}. Check the endpoint and the network."
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
