"""Runs and schedules on a Kubeflow Pipelines server."""

import time
from collections.abc import Collection, Iterator

from events.errors import KubeflowError
from kubeflow.connection import LOGIN, connect, reported

SUCCEEDED, FAILED = "SUCCEEDED", "FAILED"
ENDED = (SUCCEEDED, FAILED, "SKIPPED", "CANCELED", "ERROR")
UNKNOWN = (None, "RUNTIME_STATE_UNSPECIFIED")  # of a task that has not begun, or never will
DRIVER = "-driver"  # ends the name of the step that prepares a task
PAGE = 100
CHANGES = {"pause": "disable", "resume": "enable", "delete": "delete"}  # of a schedule, in kfp's words


class Client:
    """Experiments, runs and schedules of one server."""

    def __init__(
        self,
        endpoint: str,
        token: str = "",
        namespace: str = "",
        service_account: str = "",
        ca: str = "",
        cookies: str = "",
    ):
        """Connects.

        Args:
          endpoint: the server's URL.
          token: a bearer token; empty for none.
          namespace: the profile's, where Kubeflow serves several users; empty for the server's one.
          service_account: who the tasks run as; empty for Kubeflow's own.
          ca: the file of the authority's certificate, where the server's is not signed by a public one.
          cookies: a `Cookie` header, as a browser that has logged in would send it; empty for none.

        Raises:
          KubeflowError: there is no such server, or it refuses.
        """
        self.endpoint = endpoint.rstrip("/")
        with self._reported(f"talk to {self.endpoint}"):
            self._kfp = connect(self.endpoint, token, cookies, ca, namespace)
        self._namespace, self._service_account = namespace or None, service_account or None

    def submit(self, package: str, experiment: str, name: str, parameters: dict, root: str = "") -> str:
        """Starts a run and returns its ID.

        Args:
          package: the compiled YAML file.
          experiment: its name; it is made if there is none.
          name: the run's.
          parameters: run-time parameters.
          root: where artifacts are kept, below it by pipeline and run; empty for the cluster's own folder.
        """
        with self._reported(f"start {name}"):
            run = self._kfp.run_pipeline(
                self._experiment(experiment),
                name,
                package,
                params=parameters,
                pipeline_root=root or None,
                service_account=self._service_account,
            )
        return run.run_id

    def link(self, run_id: str) -> str:
        """The page of a run."""
        return f"{self.endpoint}/#/runs/details/{run_id}"

    def wait(self, run_id: str, tasks: Collection[str], timeout_s: float) -> Iterator[tuple[str, str]]:
        """Follows a run to its end.

        Args:
          run_id: the run's.
          tasks: the names of the spec's tasks. Kubeflow lists every step of its workflow: drivers, attempts, and one
            `executor` for each task.
          timeout_s: how long to follow it.

        Yields:
          Each task's name and state when the state is new, and last the whole run's under the name "run".

        Raises:
          KubeflowError: the run did not succeed, or has not ended in time.
        """
        states: dict[str, str] = {}
        end, pause_s = time.monotonic() + timeout_s, 1.0
        while True:
            with self._reported(f"follow run {run_id}"):
                run = self._kfp.get_run(run_id)
            steps = (run.run_details and run.run_details.task_details) or []
            own = [step for step in steps if step.display_name in tasks]
            known = [(step.task_id or step.display_name, step.display_name, step.state) for step in own]
            for key, name, state in [*known, ("", "run", run.state)]:
                if state not in UNKNOWN and states.get(key) != state:
                    states[key] = state
                    yield name, state
            if run.state in ENDED:
                break
            if time.monotonic() > end:
                raise KubeflowError(
                    f"A run is followed for {timeout_s:g} s. Received: {run.state} after that. "
                    f"It goes on: {self.link(run_id)}. Follow it longer with --timeout."
                )
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, 15.0)
        if run.state != SUCCEEDED:
            causes = "; ".join(_causes(run, steps, tasks))
            raise KubeflowError(
                f"A run must succeed. Received: {run.state}{f' in {causes}' if causes else ''}. "
                f"See {self.link(run_id)}."
            )

    def schedule(self, package: str, experiment: str, name: str, parameters: dict, cron: str, root: str = "") -> str:
        """Starts a run at each time that a cron expression names; returns the schedule's ID.

        Every task of every run does its work: with unchanged parameters, a cache would see nothing to do. Runs do not
        overlap. Of the runs that were missed during a pause, the last one is made up for.
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
                pipeline_root=root or None,
                enable_caching=False,
                service_account=self._service_account,
            )
        return schedule.recurring_run_id

    def schedules(self) -> list:
        """All schedules, as kfp_server_api.V2beta1RecurringRun."""
        found: list = []
        token = ""
        while True:
            with self._reported("list the schedules"):
                page = self._kfp.list_recurring_runs(page_token=token, page_size=PAGE, namespace=self._namespace)
            found += page.recurring_runs or []
            token = page.next_page_token
            if not token:
                return found

    def change(self, action: str, name: str) -> None:
        """Does to a schedule what `action` says, a key of CHANGES; its runs stay."""
        with self._reported(f"{action} {name}"):
            getattr(self._kfp, f"{CHANGES[action]}_recurring_run")(self._schedule_id(name))

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
                f"page to log in. {LOGIN}, or correct the endpoint."
            )
        return experiment.experiment_id

    def _reported(self, action: str):
        return reported(self.endpoint, action)


def _causes(run, steps: list, tasks: Collection[str]) -> list[str]:
    """Names what failed, with its error where the server tells one: tasks or their drivers, or else any other step."""
    failed = [step for step in steps if step.state == FAILED]
    own = [step for step in failed if step.display_name.removesuffix(DRIVER) in tasks]
    errors = {step.display_name: _nearest_error(step, failed) for step in own or failed} or {"": _error(run)}
    return [": ".join(filter(None, cause)) for cause in errors.items() if any(cause)]


def _nearest_error(step, failed: list) -> str:
    """The error of a failed step, or else of one below it, such as its `executor`: known by ID, since names repeat."""
    ids = {child.task_id for child in step.child_tasks or [] if child.task_id}
    below = [other for other in failed if other.task_id in ids or (other.parent_task_id or "") == step.task_id]
    return _error(step) or next(filter(None, (_nearest_error(other, failed) for other in below)), "")


def _error(thing) -> str:
    """What the server says of a failed run or step, in one line."""
    errors = [status.error for status in thing.state_history or [] if status.error]
    error = thing.error or (errors and errors[-1])
    return " ".join((error.message or "").split()).rstrip(".")[:200] if error else ""
