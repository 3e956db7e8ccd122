"""Runs and schedules, against a server that speaks Kubeflow's API and takes nothing that its own models do not know."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import parse_qs, urlparse

import kfp_server_api
import pytest
import yaml
from certificates import self_signed
from conftest import higgs
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

import kubeflow.connection
from events.errors import KubeflowError
from kubeflow.client import Client

TOKEN = "let-me-in"
LOGIN_PAGE = "<html>Who are you?</html>"
OPTIONS = ("--image", "registry/higgs:1", "--data", "/mnt/higgs/rows.csv.gz", "--architecture", "l2")
RUN_STATES = (
    ("PENDING", None),
    ("RUNNING", "RUNNING"),
    ("RUNNING", "RUNNING"),
    ("SUCCEEDED", "SUCCEEDED"),
)
TASKS = ("transform", "trainer-candidate")


class Kubeflow(ThreadingHTTPServer):
    """As much of Kubeflow Pipelines as the client asks for."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.experiments, self.runs, self.schedules, self.polls = {}, {}, {}, 0
        self.states = RUN_STATES
        self.requests = []  # methods and paths
        self.cookies = set()  # that came with requests
        self.faults = {}  # the beginning of "METHOD /path" to a status, a redirect, or None for no answer


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self._answer("GET")

    def do_POST(self):
        self._answer("POST")

    def do_DELETE(self):
        self._answer("DELETE")

    def _answer(self, method: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or "null")
        self.server.cookies.add(self.headers.get("Cookie"))
        url = urlparse(self.path)
        path = url.path.removeprefix("/apis/v2beta1")
        self.server.requests.append(f"{method} {path}")
        for begin, status in self.server.faults.items():
            if f"{method} {path}".startswith(begin):
                if status == LOGIN_PAGE:
                    return self._send(200, LOGIN_PAGE)
                if isinstance(status, tuple):
                    return self._redirect(*status)
                if status is None:
                    time.sleep(10)
                    return None
                return self._send(status, {"error": f"no\n{status}", "code": 1, "message": f"no\n{status}"})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._send(401, {"error": "who are you?"})
        try:
            answer = self._handle(method, path, {k: v[0] for k, v in parse_qs(url.query).items()}, body)
        except (AssertionError, ValueError, json_format.ParseError) as error:
            return self._send(400, {"message": f"invalid request: {error!r}"})
        return self._send(404, {"message": "no such thing"}) if answer is None else self._send(200, answer)

    def _redirect(self, status: int, url: str) -> None:
        self.send_response(status)
        self.send_header("Location", url + self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, status: int, content: dict | str) -> None:
        text = (content if isinstance(content, str) else json.dumps(content)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _handle(self, method: str, path: str, query: dict, body) -> dict | None:
        server = self.server
        kind, _, name = path.strip("/").partition("/")
        name, _, action = name.partition(":")
        if (method, kind) == ("GET", "healthz"):
            return {"multi_user": False}
        if (method, kind) == ("GET", "experiments"):
            wanted = json.loads(query["filter"])["predicates"][0]
            wanted = wanted.get("stringValue") or wanted["string_value"]
            return {"experiments": [found for found in server.experiments.values() if found["display_name"] == wanted]}
        if (method, kind) == ("POST", "experiments"):
            valid(body, "V2beta1Experiment")
            return store(server.experiments, body, "experiment_id")
        if (method, kind) == ("POST", "runs"):
            valid(body, "V2beta1Run")
            valid_pipeline(body, server)
            return store(server.runs, body, "run_id")
        if (method, kind) == ("GET", "runs"):
            state, task = server.states[min(server.polls, len(server.states) - 1)]
            server.polls += 1
            return server.runs[name] | {"state": state, "run_details": {"task_details": steps(task)}}
        if (method, kind) == ("POST", "recurringruns") and not name:
            valid(body, "V2beta1RecurringRun")
            valid_pipeline(body, server)
            assert len(body["trigger"]["cron_schedule"]["cron"].split()) == 6
            return store(server.schedules, body | {"status": "ENABLED"}, "recurring_run_id")
        if (method, kind, name) == ("GET", "recurringruns", ""):
            return page(list(server.schedules.values()), query)
        if kind == "recurringruns" and name in server.schedules:
            if method == "DELETE":
                del server.schedules[name]
            else:
                server.schedules[name]["status"] = {"disable": "DISABLED", "enable": "ENABLED"}[action]
            return {}
        return None


def steps(state: str | None) -> list[dict]:
    """What Kubeflow lists of a run whose candidate is in a state: every node of Argo's workflow, as of 2.17."""
    nodes = [("higgs-abc", "RUNNING"), ("root-driver", "SUCCEEDED"), ("root", "RUNNING")]
    nodes += [("transform-driver", "SUCCEEDED"), ("executor", "SUCCEEDED"), ("transform", "SUCCEEDED")]
    if state:
        nodes += [("trainer-candidate-driver", "SUCCEEDED"), ("executor", state), ("executor(0)", "FAILED")]
        nodes += [("trainer-candidate", state), ("higgs-pusher", "RUNTIME_STATE_UNSPECIFIED")]
    return [{"task_id": str(n), "display_name": name, "state": state} for n, (name, state) in enumerate(nodes)]


def valid(body: dict, model: str) -> None:
    """Fails unless the API's own model holds every field of the body."""
    api = kfp_server_api.ApiClient()
    parsed = api._ApiClient__deserialize(body, model)
    sent = {key: str(value) if type(value) is int else value for key, value in body.items()}  # protobuf takes both
    assert api.sanitize_for_serialization(parsed) == sent


def valid_pipeline(body: dict, server: Kubeflow) -> None:
    """Fails unless a run's pipeline, parameters and experiment fit together."""
    assert body["experiment_id"] in server.experiments
    spec = body["pipeline_spec"].get("pipeline_spec", body["pipeline_spec"])
    parsed = json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    assert set(body["runtime_config"]["parameters"]) <= set(parsed.root.input_definitions.parameters)


def store(shelf: dict, body: dict, key: str) -> dict:
    body[key] = f"{key}-{len(shelf)}"
    shelf[body[key]] = body
    return body


def page(items: list, query: dict) -> dict:
    """One item a page, to see that all pages are asked for."""
    first = int(query.get("page_token") or 0)
    more = {"next_page_token": str(first + 1)} if first + 1 < len(items) else {}
    return {"recurringRuns": items[first : first + 1]} | more


@pytest.fixture
def server():
    with Kubeflow() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def client(server, monkeypatch) -> Client:
    """A client that does not pause between its looks at a run."""
    monkeypatch.setattr("kubeflow.client.time", SimpleNamespace(monotonic=time.monotonic, sleep=lambda seconds: None))
    return Client(server.url, TOKEN)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A compiled file."""
    path = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    code, output = higgs("kubeflow", "compile", "--to", path, *OPTIONS, "--volume", "higgs:/mnt/higgs")
    assert code == 0, output
    return str(path)


def test_command_line_submits_what_was_asked_for_and_follows_it(server):
    server_options = ("--endpoint", server.url, "--token", TOKEN)
    run_options = ("--root", "s3://bucket/higgs", "--service-account", "higgs", "--wait")
    code, output = higgs("kubeflow", "submit", *server_options, *run_options, *OPTIONS)
    assert code == 0, output
    [run] = server.runs.values()
    name = run["display_name"]
    assert name.startswith("higgs-l2-higgs-rows-csv-gz-20")
    assert run["runtime_config"]["pipeline_root"] == "s3://bucket/higgs"  # Kubeflow adds pipeline and run
    assert run["runtime_config"]["parameters"]["architecture"] == "l2"
    assert run["service_account"] == "higgs"
    assert [found["display_name"] for found in server.experiments.values()] == ["higgs"]
    assert f"Page: {server.url}/#/runs/details/{run['run_id']}" in output
    states = [line.split(" ", 1)[1] for line in output.splitlines()[2:]]
    assert states == [
        "transform: succeeded",
        "run: pending",
        "trainer-candidate: running",
        "run: running",
        "trainer-candidate: succeeded",
        "run: succeeded",
    ]
    assert TOKEN not in output


def test_command_line_schedules_and_changes_schedules(server):
    server_options = ("--endpoint", server.url, "--token", TOKEN)
    for arguments, expected in (
        (("schedule", "--cron", "0 0  3 * * *", *OPTIONS), "Schedule: higgs-retraining, 0 0 3 * * *\n"),
        (("schedules", "list"), "higgs-retraining: enabled, 0 0 3 * * *\n"),
        (("schedules", "pause", "higgs-retraining"), "Paused: higgs-retraining\n"),
    ):
        code, output = higgs("kubeflow", *arguments, *server_options)
        assert code == 0, output
        assert output == expected
    [schedule] = server.schedules.values()
    assert schedule["status"] == "DISABLED"
    assert schedule["no_catchup"] is True
    assert schedule["max_concurrency"] == 1
    assert "pipeline_root" not in schedule["runtime_config"]  # the cluster's own, unless told
    tasks = schedule["pipeline_spec"]["root"]["dag"]["tasks"]
    assert not any(task.get("cachingOptions", {}).get("enableCache") for task in tasks.values())


def test_schedules_are_found_on_every_page_and_changed_by_name(client, server, package):
    for name in ("first", "second"):
        client.schedule(package, "higgs", name, {}, "0 0 3 * * *")
    assert [schedule.display_name for schedule in client.schedules()] == ["first", "second"]
    client.change("pause", "second")
    assert [schedule["status"] for schedule in server.schedules.values()] == ["ENABLED", "DISABLED"]
    client.change("resume", "second")
    client.change("delete", "first")
    assert [schedule["display_name"] for schedule in server.schedules.values()] == ["second"]
    assert [schedule["status"] for schedule in server.schedules.values()] == ["ENABLED"]
    assert len(server.experiments) == 1


def test_volumes_go_along_with_the_pipeline(client, server, package):
    client.submit(package, "higgs", "run", {"epochs": 3})
    [run] = server.runs.values()
    with open(package) as file:
        [_, platforms] = yaml.safe_load_all(file)
    assert run["pipeline_spec"]["platform_spec"] == platforms
    assert run["runtime_config"] == {"parameters": {"epochs": 3}}


def one_line(caught) -> str:
    assert "\n" not in str(caught.value)
    assert TOKEN not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("status", "remedy"),
    [(401, "--token"), (403, "permission"), (404, "endpoint"), (409, "another name"), (500, "Try again later")],
)
def test_refusal_is_one_line_with_the_server_s_words(client, server, package, status, remedy):
    server.faults["POST /runs"] = status
    with pytest.raises(KubeflowError) as caught:
        client.submit(package, "higgs", "run", {})
    message = one_line(caught)
    assert message.startswith(f"Kubeflow would not start run. Received: {status} no {status}. ")
    assert remedy in message


def test_body_that_the_api_does_not_know_is_refused(client, package):
    with pytest.raises(KubeflowError, match="Received: 400 invalid request"):
        client.submit(package, "higgs", "run", {"no_such_parameter": 1})


@pytest.mark.parametrize("path", ["GET /healthz", "POST /runs", "GET /runs"])
def test_server_that_does_not_answer_is_one_line_in_time(server, package, monkeypatch, path):
    monkeypatch.setattr(kubeflow.connection, "TIMEOUT_S", 0.3)
    server.faults[path] = None
    started = time.monotonic()
    with pytest.raises(KubeflowError) as caught:
        client = Client(server.url, TOKEN)
        list(client.wait(client.submit(package, "higgs", "run", {}), TASKS, 5))
    assert time.monotonic() - started < 5
    assert "must answer within 0.3 s. Received: no answer from" in one_line(caught)


def test_wrong_token_and_dead_endpoint_are_one_line_and_exit_code_2(server):
    for endpoint, token, expected in (
        (server.url, "wrong", "Received: 401 who are you?. Give a valid token"),
        ("http://127.0.0.1:9", TOKEN, "Received: no connection from http://127.0.0.1:9"),
        ("kubeflow", TOKEN, "An endpoint is a URL. Received: 'kubeflow'."),
    ):
        code, output = higgs("kubeflow", "schedules", "list", "--endpoint", endpoint, "--token", token)
        assert code == 2
        assert output.startswith("Error: ") and output.count("\n") == 1
        assert expected in output


def test_schedule_whose_name_is_no_folder_is_refused_before_anything_is_asked(server):
    arguments = ("--name", "../higgs", "--cron", "0 0 3 * * *", "--endpoint", server.url, *OPTIONS)
    code, output = higgs("kubeflow", "schedule", *arguments)
    assert code == 2
    assert output.startswith("Error: A name has 1 to 50 letters") and output.count("\n") == 1
    assert server.requests == []


def test_page_to_log_in_is_not_taken_for_kubeflow(client, server, package):
    server.faults = {"GET /": LOGIN_PAGE, "POST /": LOGIN_PAGE}
    with pytest.raises(KubeflowError) as caught:
        client.submit(package, "higgs", "run", {})
    assert "Received: something else from http://127.0.0.1" in one_line(caught)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_neither_token_nor_pipeline_follows_a_redirect(client, server, package, status):
    with Kubeflow() as elsewhere:
        threading.Thread(target=elsewhere.serve_forever, args=(0.05,), daemon=True).start()
        server.faults["POST /runs"] = server.faults["GET /recurringruns"] = (status, elsewhere.url)
        for action in (lambda: client.submit(package, "higgs", "run", {}), client.schedules):
            with pytest.raises(KubeflowError, match=rf"Received: {status} .*It redirects, maybe") as caught:
                action()
            one_line(caught)
        elsewhere.shutdown()
    assert elsewhere.requests == []


def test_failed_run_names_the_task_and_the_page(client, server, package):
    server.states = (("RUNNING", "RUNNING"), ("FAILED", "FAILED"))
    run_id = client.submit(package, "higgs", "run", {})
    with pytest.raises(KubeflowError) as caught:
        list(client.wait(run_id, TASKS, 60))
    assert f"Received: FAILED in trainer-candidate. See {client.link(run_id)}." in one_line(caught)


@pytest.mark.parametrize(
    ("nodes", "causes"),
    [
        ([("executor", None), ("transform", {"message": "no\n rows."})], "transform: no rows"),
        ([("trainer-candidate-driver", None), ("root", None)], "trainer-candidate-driver"),
        ([("root-driver", None), ("root", None)], "root-driver; root"),
    ],
)
def test_failed_run_says_what_the_server_says(client, server, package, nodes, causes, monkeypatch):
    tasks = [
        {"task_id": name, "display_name": name, "state": "FAILED"} | ({"error": error} if error else {})
        for name, error in nodes
    ]
    monkeypatch.setitem(globals(), "steps", lambda state: tasks)
    server.states = (("FAILED", None),)
    run_id = client.submit(package, "higgs", "run", {})
    with pytest.raises(KubeflowError) as caught:
        list(client.wait(run_id, TASKS, 60))
    assert f"Received: FAILED in {causes}. See " in one_line(caught)


@pytest.mark.parametrize("is_told_by_parent", [True, False])
def test_failed_run_says_what_the_server_says_of_each_task_s_own_executor(
    client, server, package, monkeypatch, is_told_by_parent
):
    def step(task_id: str, name: str, state: str, parent: str = "", children: tuple = (), message: str = "") -> dict:
        links = {"child_tasks": [{"task_id": child} for child in children]} if is_told_by_parent else {}
        links |= {"parent_task_id": parent} if parent and not is_told_by_parent else {}
        return {"task_id": task_id, "display_name": name, "state": state, "error": {"message": message}} | links

    tasks = [
        step("1", "trainer-candidate", "FAILED", children=("2",)),
        step("2", "executor", "FAILED", "1", children=("3", "4")),
        step("3", "executor(0)", "SUCCEEDED", "2", message="not this"),
        step("4", "executor(1)", "FAILED", "2", message="no memory"),
        step("5", "transform", "FAILED", children=("6",)),
        step("6", "executor", "FAILED", "5", message="no rows"),
    ]
    monkeypatch.setitem(globals(), "steps", lambda state: tasks)
    server.states = (("FAILED", None),)
    run_id = client.submit(package, "higgs", "run", {})
    with pytest.raises(KubeflowError) as caught:
        list(client.wait(run_id, TASKS, 60))
    assert "Received: FAILED in trainer-candidate: no memory; transform: no rows. See " in one_line(caught)


@pytest.fixture
def authority(server, tmp_path):
    """The file of a certificate of a private authority's, which `server` now shows."""
    path, context = self_signed(tmp_path, "127.0.0.1")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.url = server.url.replace("http:", "https:")
    return str(path)


def test_private_authority_is_trusted_if_named_and_cookies_come_along(server, authority):
    assert Client(server.url, TOKEN, ca=authority, cookies="session=mine").schedules() == []
    assert server.cookies == {"session=mine"}
    with pytest.raises(KubeflowError) as caught:
        Client(server.url, TOKEN)
    assert "Received: a certificate that is not trusted from https://127.0.0.1" in one_line(caught)
    assert "--ca or HIGGS_KFP_CA" in one_line(caught)


@pytest.mark.parametrize(("text", "reason"), [(None, "No such file or directory"), ("not PEM", "NO_CERTIFICATE")])
def test_authority_s_file_that_is_none_is_one_line(server, tmp_path, text, reason):
    path = tmp_path / "ca.pem"
    if text:
        path.write_text(text)
    with pytest.raises(KubeflowError) as caught:
        Client(server.url, TOKEN, ca=str(path))
    assert f"holds certificates as PEM. Received: {path}: " in one_line(caught)
    assert reason in one_line(caught)


def test_run_that_takes_too_long_goes_on_without_us(client, server, package):
    server.states = (("RUNNING", None),)
    run_id = client.submit(package, "higgs", "run", {})
    with pytest.raises(KubeflowError, match="It goes on: "):
        list(client.wait(run_id, TASKS, 0))


def test_schedule_of_a_known_name_is_refused_and_unknown_ones_are_listed(client, package):
    client.schedule(package, "higgs", "nightly", {}, "0 0 3 * * *")
    with pytest.raises(KubeflowError, match="Received: nightly, which exists"):
        client.schedule(package, "higgs", "nightly", {}, "0 0 3 * * *")
    with pytest.raises(KubeflowError, match=r"Received: 'daily'\. There are: nightly\."):
        client.change("pause", "daily")
