"""Runs `higgs run` again and again, each in a fork of a process that has imported all, and computes only once.

    python tests/run_forks.py FOLDER record run --simulate 400 ...
    python tests/run_forks.py FOLDER replay

The first runs a command and keeps what its stages and its report came to below FOLDER. The second reads lines of JSON,
a command's arguments and a file for what it says, and answers each by an exit code; what was computed once is not
computed again, but written again. All that comes between stages is the real thing, as are ingestion and push.

Training is none: networks get weights. A model is tried in the same process. The clock of versions stands.
"""

import dataclasses
import functools
import gc
import json
import os
import pickle
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

NOW = 1795649889.0


def import_all() -> None:
    """Imports what a run needs, down to what is imported late; starts no thread of TensorFlow's."""
    import keras.src.saving  # noqa: F401
    import matplotlib.backends.backend_agg
    import matplotlib.figure  # noqa: F401
    import tensorflow_data_validation  # noqa: F401

    import report.lineage_tables
    import report.run_page  # noqa: F401


def stub_training() -> None:
    """Gives networks weights: the candidate, which has several layers, a last one that says 1/2 to everything."""
    from models.loop import Loop
    from serving import versions

    def train(loop, features, labels, epoch):
        layers = [layer for layer in loop.model.layers if layer.weights]
        if len(layers) > 2:
            layers[-1].set_weights([0 * weights for weights in layers[-1].get_weights()])
        return {"loss": 0.7, "bce": 0.7, "accuracy": 0.5}

    Loop.train = train
    versions.time.time = lambda: NOW


def compute_once(folder: Path, replayed: bool) -> None:
    """Lets stages and report keep what they come to, or come to what was kept."""
    from tfx.components.trainer.executor import GenericExecutor

    from components import evaluator, infra_validator, statistics_gen, transform
    from report import run_page as run
    from serving import warmup

    for executor in (statistics_gen.Executor, transform.Executor, GenericExecutor, evaluator.Executor):
        executor.Do = _once(executor.Do, folder, replayed)

    def try_model(model, records, model_name, warmup_file):
        if replayed:
            os.makedirs(os.path.dirname(warmup_file), exist_ok=True)
            shutil.copyfile(folder / "warmup", warmup_file)
            return
        sys.argv = ["warmup", model, *records, "--name", model_name, "--to", warmup_file]
        warmup.main()
        shutil.copyfile(warmup_file, folder / "warmup")

    infra_validator.try_model = try_model
    run.make = functools.partial(_replay_page if replayed else _keep_page, folder, run.make)
    run.IMPORTANCE_ROWS = 10


def _once(do, folder: Path, replayed: bool):
    def replay(executor, inputs, outputs, properties):
        for [artifact] in outputs.values():
            kept = folder / _name(artifact.uri)
            assert not any(names for _, _, names in os.walk(artifact.uri)), "written to before"
            shutil.copytree(kept, artifact.uri, dirs_exist_ok=True)
            artifact.set_mlmd_artifact(_as_kept(artifact.mlmd_artifact, Path(f"{kept}.pb")))

    def keep(executor, inputs, outputs, properties):
        do(executor, inputs, outputs, properties)
        for [artifact] in outputs.values():
            kept = folder / _name(artifact.uri)
            shutil.copytree(artifact.uri, kept)
            Path(f"{kept}.pb").write_bytes(artifact.mlmd_artifact.SerializeToString())

    return replay if replayed else keep


def _as_kept(artifact, path: Path):
    """The artifact with the properties of the one that was kept."""
    kept = type(artifact).FromString(path.read_bytes())
    merged = type(artifact)()
    merged.CopyFrom(artifact)
    for name in ("properties", "custom_properties"):
        for key, value in getattr(kept, name).items():
            getattr(merged, name)[key].CopyFrom(value)
    return merged


def _name(uri: str) -> str:
    """Of what is kept of a stage's output; what is served already makes another evaluation of it."""
    output, _, stage, key, _ = uri.rsplit("/", 4)
    served = os.path.exists(os.path.join(output, "serving", "models.config"))
    return f"{stage} {key}{' beside a champion' if served else ''}"


def _keep_page(folder: Path, make, config, summary):
    page = make(config, summary)
    figures = [
        SimpleNamespace(name=figure.name, svg=figure.svg, png=figure.png)
        for section in page.sections
        for figure in section.figures
    ]
    shutil.copyfile(os.path.join(summary["results"], "predictions.npz"), folder / "predictions.npz")
    (folder / "page").write_bytes(pickle.dumps((page.title, page.to_html(), figures)))
    return page


def _replay_page(folder: Path, make, config, summary):
    from events.files import whole
    from report.page import Page

    with whole(os.path.join(summary["results"], "predictions.npz"), "wb") as file:
        file.write((folder / "predictions.npz").read_bytes())
    title, html, figures = pickle.loads((folder / "page").read_bytes())
    fields = {field.name: "" for field in dataclasses.fields(Page)}
    page = Page(**fields | {"title": title, "sections": [SimpleNamespace(figures=figures)]})
    object.__setattr__(page, "to_html", lambda: html)
    return page


def run(arguments: list[str]) -> int:
    """The exit code of a command."""
    from cli.main import cli

    try:
        cli(arguments)
    except SystemExit as end:
        return end.code or 0
    except BaseException:
        import traceback

        traceback.print_exc()
    return 1


def fork(arguments: list[str], output: str) -> int:
    """The exit code of a command that runs in a fork, which writes what it says to the file `output`."""
    child = os.fork()
    if not child:
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        code = run(arguments)
        sys.stdout.flush()
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    kept, mode, *arguments = sys.argv[1:]
    import_all()
    stub_training()
    compute_once(Path(kept), mode == "replay")
    if mode == "record":
        sys.exit(run(arguments))
    gc.freeze()
    for line in sys.stdin:
        print(fork(*json.loads(line)), flush=True)
