from pathlib import Path

import kubernetes_validate
import pytest
import yaml

FOLDER = Path(__file__).parent.parent / "kubeflow" / "manifests"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())


def objects() -> list[dict]:
    """Every object that the kustomization brings."""
    return [item for name in KUSTOMIZATION["resources"] for item in yaml.safe_load_all((FOLDER / name).read_text())]


@pytest.mark.parametrize("version", ["1.25", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("item", objects(), ids=lambda item: item["kind"])
def test_object_is_what_kubernetes_takes(item, version):
    kubernetes_validate.validate(item, version, strict=True)


def test_kustomization_names_every_file_there_is():
    assert {*KUSTOMIZATION["resources"], "kustomization.yaml"} == {path.name for path in FOLDER.iterdir()}


def test_objects_have_the_names_that_the_options_and_each_other_use():
    kinds = {item["kind"]: item for item in objects()}
    assert kinds["PersistentVolumeClaim"]["metadata"]["name"] == "higgs"  # --volume higgs:/mnt/higgs
    assert kinds["ServiceAccount"]["metadata"]["name"] == "higgs"  # --service-account higgs
    assert kinds["RoleBinding"]["subjects"] == [{"kind": "ServiceAccount", "name": "higgs"}]


def test_volume_is_handed_over_to_the_user_of_the_image():
    [user] = [line for line in (FOLDER.parent / "Dockerfile").read_text().splitlines() if line.startswith("USER ")]
    kinds = {item["kind"]: item for item in objects()}
    pod = kinds["Job"]["spec"]["template"]["spec"]
    [container], [volume] = pod["containers"], pod["volumes"]
    [mount] = container["volumeMounts"]
    assert container["command"] == ["chown", f"{user.split()[1]}:{user.split()[1]}", mount["mountPath"]]
    assert volume["persistentVolumeClaim"]["claimName"] == kinds["PersistentVolumeClaim"]["metadata"]["name"]
    assert mount["name"] == volume["name"]
