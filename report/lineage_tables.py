"""Sections on where a run's result comes from, by ML Metadata: data, code, stages, packages, settings."""

import json
import re

from pipeline.config import Config
from pipeline.digest import CODE, commit, digest_source
from pipeline.lineage import Execution
from report.page import Section, Table
from report.provenance import data_files, is_unchanged, settings


def lineage_sections(config: Config, summary: dict, executions: list[Execution]) -> list[Section]:
    """Which files, which code, which stages, which packages, which settings."""
    [example_gen] = [execution for execution in executions if execution.node == "HiggsExampleGen"]
    packages = list(summary["versions"].items())
    return [
        Section("Lineage", [_data(summary, example_gen), _code(executions), _stages(executions)]),
        Section("Versions", [Table(["package", "version"], packages, numeric=False)], folded=True),
        Section("Settings", [settings(json.loads(config.to_json()))], folded=True),
    ]


def _data(summary: dict, example_gen: Execution) -> Table:
    fingerprint = example_gen.parameters.get("input_fingerprint", "")
    unchanged = is_unchanged(summary["files"], fingerprint)
    state = {True: "Unchanged since the run read them.", False: "CHANGED since the run read them.", None: ""}[unchanged]
    return data_files(summary["files"], f"Data files: {summary['origin']} rows. {state}".strip(), fingerprint)


def _code(executions: list[Execution]) -> Table:
    stages: dict[str, list[str]] = {}
    for execution in executions:
        if digest := _code_digest(execution):
            stages.setdefault(digest, []).append(execution.node)
    here = {digest_source(*modules): f"{', '.join(modules)} and all it imports" for modules in CODE.values()}
    rows = [["this checkout, now", "", commit() or "not a git checkout"]]
    rows += [
        [f"{here[digest]}, unchanged since" if digest in here else "changed since", ", ".join(nodes), digest]
        for digest, nodes in stages.items()
    ]
    return Table(["code", "stages", "commit or SHA-256"], rows, "Code that the stages ran.", numeric=False)


def _code_digest(execution: Execution) -> str | None:
    """The digest of code among a component's parameters, wherever TFX put it."""
    text = f'"code": "{execution.parameters.get("code", "")}" {execution.parameters.get("custom_config", "")}'
    found = re.search(r"\bcode\W+([0-9a-f]{64})\b", text)
    return found[1] if found else None


def _stages(executions: list[Execution]) -> Table:
    rows = [
        [
            execution.node,
            str(execution.id),
            "cached" if execution.cached else f"{execution.seconds:.1f}",
            "; ".join(f"{key} {artifact.id}: {artifact.uri}" for key, artifact in sorted(execution.outputs.items())),
        ]
        for execution in executions
    ]
    caption = "Stages and what they made, with the numbers of executions and artifacts in ML Metadata."
    return Table(["stage", "execution", "seconds", "artifacts"], rows, caption, numeric=False)
