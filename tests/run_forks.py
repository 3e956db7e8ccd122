"""Runs `higgs` again and again, each time in a fork of a process that has imported all, and computes only once.

    python tests/run_forks.py FOLDER record
    python tests/run_forks.py FOLDER replay

Both read lines of JSON, a command and a file for what it says, and answer each by its exit code. The first keeps what
stages and report of `higgs run` came to below FOLDER; the second does not compute it again, but writes it again. All
that comes between stages is the real thing, as are ingestion and push. Other commands than `higgs` run as they are.

Training is none: networks get weights. A model is tried in the same process. The clock of versions stands.
"""

import dataclasses
import functools
import gc
import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

NOW = 1795649889.0


def import_all() -> None:
    """Imports what a run needs, down to what is imported late, and reads its code; starts no thread of TensorFlow's."""
    import keras.src.saving  # noqa: F401
    import matplotlib.backends.backend_agg
    import matplotlib.figure  # noqa: F401
    import tensorflow_data_validation  # noqa: F401

    import pipeline.execution
    import pipeline.summary  # noqa: F401
    import report.lineage_tables
    import report.run_page  # noqa: F401
    from pipeline import digest

    for stage in ("HiggsExampleGen", "Trainer", "HiggsEvaluator", "HiggsInfraValidator", "HiggsPusher"):
        digest.digest_source(*digest.CODE[stage])


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
    """Of what is kept of a stage's output; another champion makes another evaluation of it."""
    from serving.served import stable_version

    output, _, stage, key, _ = uri.rsplit("/", 4)
    champion = stable_version(os.path.join(output, "serving", "higgs"))
    return f"{stage} {key} beside {champion.number if champion else 'none'}"


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


def fork(arguments: list[str], output: str, kept: Path, replayed: bool) -> int:
    """The exit code of a command of `higgs` that runs in a fork, which writes what it says to the file `output`."""
    child = os.fork()
    if not child:
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        folder = kept / hashlib.sha256(json.dumps(arguments).encode()).hexdigest()[:8]
        folder.mkdir(exist_ok=True)
        compute_once(folder, replayed)
        code = run(arguments)
        sys.stdout.flush()
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    kept, mode = sys.argv[1:]
    import_all()
    stub_training()
    gc.freeze()
    for line in sys.stdin:
        (program, *arguments), output = json.loads(line)
        if program == "higgs":
            code = fork(arguments, output, Path(kept), mode == "replay")
        else:
            code = subprocess.run([program, *arguments]).returncode
        print(code, flush=True)
