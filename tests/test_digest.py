"""Digests of code: which edits make a stage run again, and which do not."""

import shutil

import pytest

from pipeline import digest
from pipeline.digest import CODE, ROOT, digest_files, digest_source, source_files

# Modules of each stage, two or three imports away from its executor where there are such.
KNOWN = {
    "HiggsExampleGen": ("components.example_gen", "events.splits", "events.listing", "events.records"),
    "StatisticsGen": ("components.statistics_gen", "events.example_blocks", "events.records"),
    "HiggsExampleValidator": ("components.example_validator", "events.seals"),
    "Transform": (
        "components.transform",
        "models.preprocessing",
        "events.higgs.physics",
        "events.higgs.reconstruction",
    ),
    "Trainer": ("models.training", "models.layers", "models.inputs", "events.higgs.simulate", "events.higgs.detector"),
    "Tuner": ("models.tuning", "models.space", "models.loop", "events.records"),
    "HiggsEvaluator": ("components.evaluator", "components.event_metrics", "metrics.paired", "components.verdict"),
    "HiggsInfraValidator": ("components.infra_validator", "serving.warmup", "events.seals"),
    "HiggsPusher": ("components.pusher", "serving.versions", "serving.history", "serving.model_card"),
}
# Of stages whose results take long, modules that do not decide them.
OTHERS = {
    "HiggsExampleGen": (
        "components.pusher",
        "components.event_metrics",
        "models.layers",
        "pipeline.gate",
        "events.higgs.simulate",
    ),
    "Transform": ("components.pusher", "components.evaluator", "events.splits", "models.training"),
    "Trainer": (
        "components.pusher",
        "components.event_metrics",
        "models.tuning",
        "pipeline.gate",
        "events.higgs.download",
    ),
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the packages whose code decides a run."""
    folder = tmp_path_factory.mktemp("checkout")
    for package in digest.STAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def is_changed_by(checkout, file, modules) -> bool:
    """Whether a comment at the end of a file changes the digest of modules."""
    text, before = file.read_text(), digest_source(*modules, root=checkout)
    file.write_text(text + "# A comment.\n")
    after = digest_source(*modules, root=checkout)
    file.write_text(text)
    assert digest_source(*modules, root=checkout) == before
    return after != before


@pytest.mark.parametrize("stage", CODE)
def test_edit_of_any_module_that_a_stage_imports_changes_its_digest(checkout, stage):
    files = source_files(*CODE[stage], root=checkout)
    names = {".".join(file.relative_to(checkout).with_suffix("").parts) for file in files}
    assert set(KNOWN[stage]) <= names
    for file in files:
        assert is_changed_by(checkout, file, CODE[stage]), file


@pytest.mark.parametrize(("stage", "module"), [(stage, module) for stage in OTHERS for module in OTHERS[stage]])
def test_edit_of_what_a_stage_does_not_import_leaves_it_in_the_cache(checkout, stage, module):
    file = checkout.joinpath(*module.split(".")).with_suffix(".py")
    assert not is_changed_by(checkout, file, CODE[stage])


def test_digest_changes_with_data_beside_the_modules_and_with_where_a_module_lies(checkout):
    assert is_changed_by(checkout, checkout / "models" / "keras.json", CODE["Trainer"])
    before = digest_source(*CODE["Trainer"], root=checkout)
    (checkout / "models" / "units.txt").write_text("GeV")
    assert digest_source(*CODE["Trainer"], root=checkout) != before
    (checkout / "models" / "units.txt").unlink()


def test_imports_inside_functions_and_of_whole_packages_are_followed(tmp_path):
    for name, text in {
        "__init__": "from components import first\n",
        "first": "def late():\n    import components.second\n",
        "second": "import numpy\n",
        "third": "",
    }.items():
        (tmp_path / "components").mkdir(exist_ok=True)
        (tmp_path / "components" / f"{name}.py").write_text(text)
    names = [file.stem for file in source_files("components.first", root=tmp_path)]
    assert names == ["__init__", "first", "second"]


def test_every_stage_of_the_pipeline_has_the_digest_of_its_own_code(tmp_path):
    from pipeline.config import Config, DataConfig, TunerConfig
    from pipeline.graph import create_pipeline

    (tmp_path / "rows.csv").touch()
    config = Config(
        output=str(tmp_path), data=DataConfig(path=str(tmp_path / "rows.csv")), tuner=TunerConfig(enabled=True)
    )
    found = {component.id: str(component.exec_properties) for component in create_pipeline(config).components}
    del found["ImportSchemaGen"]  # copies a file, whose path and content it knows
    assert len(found) == 10
    for node, parameters in found.items():
        assert digest_source(*CODE[node.split(".")[0]]) in parameters, node


@pytest.mark.parametrize("stage", CODE)
def test_record_of_a_run_names_every_file_that_a_stage_s_digest_is_made_of(stage):
    assert {str(file.relative_to(ROOT)) for file in source_files(*CODE[stage])} <= set(digest_files())
