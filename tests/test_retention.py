"""Which runs keep what they made, on a real store of ML Metadata and real folders."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from conftest import SHORT_RUN, Run, higgs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ml_metadata.proto import metadata_store_pb2 as mlmd

from events.errors import ConfigError
from pipeline import retention
from pipeline.config import Config
from pipeline.lineage import open_store
from pipeline.retention import collect, remove, runs_kept
from serving import served
from serving.history import PUSH, Event
from serving.served import render

STAGES = ("HiggsExampleGen", "Trainer.candidate", "HiggsEvaluator")


@dataclasses.dataclass
class History:
    """Runs in an output folder, as a store and as folders.

    Attributes:
      folder: the output folder.
      artifacts: run to the folders of what it made or took.
    """

    folder: Path
    artifacts: dict[str, list[Path]] = dataclasses.field(default_factory=dict)

    @property
    def config(self) -> Config:
        return Config(output=str(self.folder))

    def add(self, run: str, taken: dict[str, int] | None = None, recorded: bool = True) -> None:
        """Adds a run whose stages made artifacts of their own, or took one of an earlier run: stage to its place."""
        with open_store(self.config) as store:
            types = {
                name: store.put_context_type(mlmd.ContextType(name=name))
                for name in ("pipeline", "pipeline_run", "node")
            }
            kind = store.put_execution_type(mlmd.ExecutionType(name="stage"))
            made = store.put_artifact_type(mlmd.ArtifactType(name="thing"))
            contexts = [
                mlmd.Context(type_id=types["pipeline"], name="higgs"),
                mlmd.Context(type_id=types["pipeline_run"], name=run),
            ]
            self.artifacts[run] = []
            for stage in STAGES:
                execution = mlmd.Execution(type_id=kind, last_known_state=mlmd.Execution.COMPLETE)
                node = mlmd.Context(type_id=types["node"], name=f"higgs.{stage}")
                number, _, ids = store.put_execution(
                    execution, [], [*contexts, node], reuse_context_if_already_exist=True
                )
                if not store.get_parent_contexts_by_context(ids[1]):
                    store.put_parent_contexts([mlmd.ParentContext(parent_id=ids[0], child_id=ids[1])])
                known = [path for paths in self.artifacts.values() for path in paths if path.parts[-3] == stage]
                place = (taken or {}).get(stage)
                if place is not None and known:
                    path = known[place % len(known)]
                    [artifact] = store.get_artifacts_by_uri(str(path))
                else:
                    path = self.folder / "artifacts" / stage / "output" / str(number)
                    (path / "deep").mkdir(parents=True)
                    (path / "deep" / "file").write_text(run)
                    (self.folder / "artifacts" / stage / ".system" / "executor_execution" / str(number)).mkdir(
                        parents=True
                    )
                    artifact = mlmd.Artifact(type_id=made, uri=str(path), state=mlmd.Artifact.LIVE)
                    [artifact.id] = store.put_artifacts([artifact])
                step = mlmd.Event.Path.Step(key="output")
                store.put_events(
                    [
                        mlmd.Event(
                            artifact_id=artifact.id,
                            execution_id=number,
                            type=mlmd.Event.OUTPUT,
                            path=mlmd.Event.Path(steps=[step]),
                        )
                    ]
                )
                self.artifacts[run].append(path)
        if recorded:
            results = self.folder / "results" / run
            (results / "report").mkdir(parents=True)
            log = self.folder / "logs" / f"{run}.log"
            log.parent.mkdir(exist_ok=True)
            for file in (results / "config.json", results / "report.html", results / "report" / "roc.svg", log):
                file.write_text("{}")
            (results / "summary.json").write_text(json.dumps({"run": run, "log": str(log)}))

    def serve(self, runs: dict[str, bool]) -> None:
        """Pushes a version of each of these runs; those that are False were retired since."""
        events, retired = [], []
        for number, (run, there) in enumerate(runs.items(), 1):
            events.append(Event(PUSH, f"2026-01-0{number}T00:00:00Z", number, versions=(number,), about={"run": run}))
            retired += [] if there else [number]
        (self.folder / "serving").mkdir(exist_ok=True)
        if events:
            events[-1] = dataclasses.replace(events[-1], retired=tuple(retired))
            (self.folder / "serving" / "models.config").write_text(render({"higgs": events}))

    def snapshot(self) -> set[str]:
        """Every file and folder but the database."""
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.suffix != ".sqlite"}

    def live(self) -> set[str]:
        """The folders of artifacts that the cache may take."""
        with open_store(self.config) as store:
            return {artifact.uri for artifact in store.get_artifacts() if artifact.state == mlmd.Artifact.LIVE}


@pytest.fixture
def history(tmp_path) -> History:
    return History(tmp_path / "runs")


def check_whole(history: History, runs) -> None:
    """What runs made is there, and what the cache may take is there."""
    for run in runs:
        for path in history.artifacts[run]:
            assert (path / "deep" / "file").exists(), (run, path)
            assert str(path) in history.live()
    for uri in history.live():
        assert (Path(uri) / "deep" / "file").exists()


def test_newest_runs_keep_what_they_made_and_records_of_all_stay(history):
    for run in ("r1", "r2", "r3"):
        history.add(run)
    freed = collect(history.config, 2)
    assert (freed.kept, freed.freed) == (("r2", "r3"), ("r1",))
    assert freed.n_bytes == 3 * len("r1") + 3 * len("{}")  # three artifacts; report, figure and log
    check_whole(history, ("r2", "r3"))
    assert not any(path.exists() for path in history.artifacts["r1"])
    assert {path.name for path in (history.folder / "results" / "r1").iterdir()} == {"config.json", "summary.json"}
    assert {path.name for path in (history.folder / "logs").iterdir()} == {"r2.log", "r3.log"}
    assert len(list(history.folder.glob("artifacts/*/.system/executor_execution/*"))) == 6
    again = collect(history.config, 2)
    assert (again.freed, again.n_bytes) == ((), 0)


def test_run_that_others_took_from_keeps_what_they_took(history):
    history.add("r1")
    history.add("r2", {"HiggsExampleGen": 0})
    collect(history.config, 1)
    check_whole(history, ["r2"])
    assert [path.exists() for path in history.artifacts["r1"]] == [True, False, False]


def test_lineage_of_every_version_that_is_there_stays_and_of_a_retired_one_goes(history):
    for run in ("r1", "r2", "r3", "r4"):
        history.add(run)
    history.serve({"r1": True, "r2": False, "r3": True})
    assert collect(history.config, 1).kept == ("r1", "r3", "r4")
    check_whole(history, ("r1", "r3", "r4"))
    assert not any(path.exists() for path in history.artifacts["r2"])


def test_runs_that_did_not_end_keep_theirs_if_they_may_be_resumed():
    runs = ["r1", "r2", "r3", "r4", "r5"]
    assert runs_kept(runs, {"r2", "r4"}, 1, ()) == {"r4", "r5"}
    assert runs_kept(runs, {"r2", "r4"}, 2, ()) == {"r2", "r3", "r4", "r5"}
    assert runs_kept(runs, {"r2", "r4"}, 1, ("r1", "gone")) == {"r1", "r4", "r5"}
    assert runs_kept(runs, (), 1, ()) == set(runs)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_nothing_that_a_kept_run_made_or_took_is_ever_removed(tmp_path_factory, data):
    history = History(tmp_path_factory.mktemp("history"))
    n_runs = data.draw(st.integers(1, 6))
    names = [f"r{number}" for number in range(n_runs)]
    for name in names:
        taken = data.draw(st.dictionaries(st.sampled_from(STAGES), st.integers(0, 5)))
        history.add(name, taken, recorded=name == names[-1] or data.draw(st.booleans()))
    served = data.draw(st.dictionaries(st.sampled_from(names), st.booleans()))
    history.serve(served)
    collect(history.config, data.draw(st.integers(1, 3)))
    kept = {name for name in names if served.get(name)} | {names[-1]}
    check_whole(history, kept)
    for name in names:
        for path in history.artifacts[name]:
            if not path.exists():
                assert not any(path in history.artifacts[other] for other in kept)


@pytest.mark.parametrize("command", ["collect", "remove"])
def test_command_that_is_killed_anywhere_leaves_what_is_kept_and_is_finished_by_its_repetition(
    tmp_path, monkeypatch, command
):
    first = History(tmp_path / "first")
    for run in ("r1", "r2", "r3"):
        first.add(run, {"HiggsExampleGen": 0})
    pristine = shutil.copytree(first.folder, tmp_path / "pristine")

    def act() -> None:
        collect(first.config, 1) if command == "collect" else remove(first.config, ["r1"])

    act()
    expected, n_operations, kept = first.snapshot(), 0, ["r3"] if command == "collect" else ["r2", "r3"]
    operations = {
        "rmtree": retention.fileio.rmtree,
        "remove": retention.fileio.remove,
        "unlink": retention.os.unlink,
        "rmdir": retention.os.rmdir,
    }
    for n in range(1, 40):
        shutil.rmtree(first.folder)
        shutil.copytree(pristine, first.folder)
        n_operations = 0

        def strike(operation, path, n=n):
            nonlocal n_operations
            n_operations += 1
            if n_operations == n:
                if operation is operations["rmtree"]:
                    shutil.rmtree(Path(path) / "deep", ignore_errors=True)  # half of it
                raise KeyboardInterrupt
            return operation(path)

        with monkeypatch.context() as patch:
            for name, operation in operations.items():
                module = retention.fileio if name in ("rmtree", "remove") else retention.os
                if name not in ("unlink", "rmdir") or command == "remove":
                    patch.setattr(module, name, lambda path, *_, operation=operation, **__: strike(operation, path))
            try:
                act()
                break
            except KeyboardInterrupt:
                pass
        check_whole(first, kept)
        if (first.folder / "results" / "r1" / "summary.json").exists():
            act()
        else:
            retention.Workspace(first.config).remove_unfinished()
            shutil.rmtree(first.folder / "results" / "r1", ignore_errors=True)
        assert first.snapshot() == expected, n
    assert n > 5


def test_run_is_removed_with_its_record_unless_a_version_of_it_is_there(history):
    for run in ("r1", "r2", "r3"):
        history.add(run, {"HiggsExampleGen": 0})
    history.serve({"r2": True})
    with pytest.raises(ConfigError, match="Received: r2, which made version 1"):
        remove(history.config, ["r2"])
    remove(history.config, ["r1"])
    check_whole(history, ("r2", "r3"))
    assert not (history.folder / "results" / "r1").exists()
    assert [path.exists() for path in history.artifacts["r1"]] == [True, False, False]


@pytest.mark.slow
def test_whole_runs_keep_as_many_as_they_are_told_and_the_cache_goes_on(tmp_path):
    folder = tmp_path / "runs"
    for epochs in ("1", "2", "3"):
        code, output = higgs("run", *SHORT_RUN, "--epochs", epochs, "--keep", "1", "--output", folder)
        assert code in (0, 3), output
    run = Run(code, output, folder)
    state = served.read(str(folder / "serving" / "higgs"))
    needed = {push.about["run"] for push in state.pushed.values()} | {run.summary["run"]}
    with_report = [path.with_name("summary.json") for path in folder.glob("results/*/report.html")]
    assert {json.loads(path.read_text())["run"] for path in with_report} == needed
    assert len(list(folder.glob("results/*/summary.json"))) == 3
    assert {"HiggsExampleGen", "Transform", "Trainer.baseline"} <= run.cached
    code, output = higgs("runs", "list", "--output", folder)
    assert (code, len(output.splitlines())) == (0, 4)
