"""Sections on where a run's result comes from, by ML Metadata: data, code, stages, packages, settings."""

import json

from pipeline.config import Config
from pipeline.digest import digest_source
from pipeline.lineage import Execution
from report.page import Section, Table
from report.provenance import commit, data_files, is_unchanged, settings, versions

SHORT = 12  # characters of a digest that are enough to compare by eye


def lineage_sections(config: Config, summary: dict, executions: list[Execution]) -> list[Section]:
    """Which files, which code, which stages, which packages, which settings."""
    by_node = {execution.node: execution for execution in executions}
    return [
        Section("Lineage", [_data(summary, by_node["HiggsExampleGen"]), _code(by_node), _stages(executions)]),
        Section("Versions", [versions(summary["versions"])], folded=True),
        Section("Settings", [settings(json.loads(config.to_json()))], folded=True),
    ]


def _data(summary: dict, example_gen: Execution) -> Table:
    fingerprint = example_gen.parameters.get("input_fingerprint", "")
    unchanged = is_unchanged(summary["files"], fingerprint)
    state = {True: "Unchanged since the run read them.", False: "CHANGED since the run read them.", None: ""}[unchanged]
    return data_files(summary["files"], f"Data files: {summary['origin']} rows. {state}".strip(), fingerprint)


def _code(by_node: dict[str, Execution]) -> Table:
    rows = [["this checkout, now", "", commit() or "not a git checkout"]]
    for node, modules in (
        ("HiggsExampleGen", ["components"]),
        ("Transform", ["models.preprocessing", "models.features"]),
        ("Trainer.candidate", ["models"]),
    ):
        digest = _code_digest(by_node[node])
        now = digest_source(*modules)
        state = "unchanged since" if digest == now else f"now {now[:SHORT]}"
        rows.append([", ".join(modules), f"{node}, {state}", digest])
    return Table(["code", "stage", "commit or SHA-256"], rows, "Code that the stages ran.", numeric=False)


def _code_digest(execution: Execution) -> str:
    """The digest of the code among a component's parameters, wherever TFX put it."""
    tree = json.loads(execution.parameters["custom_config"])
    return tree["code"] if "code" in tree else tree["custom_config"]["value"]["code"]


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
