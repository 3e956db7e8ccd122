"""What TF Serving runs with: its configuration, the compose file and the manifests."""

import os
import re
from pathlib import Path

import click
import kubernetes_validate
import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from tensorflow_serving.config import model_server_config_pb2

from cli.kubeflow import compile_command
from cli.serving import predict
from pipeline.config import Config
from pipeline.workspace import Workspace
from serving.served import CONFIG_FILE, SERVER_ROOT
from serving.server import LOAD_WAIT_S
from serving.versions import SETTLED_S

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "serving" / "deploy"
KUSTOMIZATION = ROOT / "kubeflow" / "manifests" / "kustomization.yaml"
README = ROOT / "README.md"
MANIFESTS = ("deployment.yaml", "service.yaml", "autoscaler.yaml")
KUBERNETES = "1.30"

# Of TF Serving's session_bundle_config.proto and monitoring_config.proto, which its Python package leaves out.
INT64, STRING = ".google.protobuf.Int64Value", ".google.protobuf.StringValue"
PROTOS = {
    "BatchingParameters": {
        "max_batch_size": (1, INT64),
        "batch_timeout_micros": (2, INT64),
        "max_enqueued_batches": (3, INT64),
        "num_batch_threads": (4, INT64),
        "thread_pool_name": (5, STRING),
    },
    "PrometheusConfig": {"enable": (1, bool), "path": (2, str)},
    "MonitoringConfig": {"prometheus_config": (1, ".higgs_test.PrometheusConfig")},
}


def parse(name: str, text: str):
    """Parses a text proto as TF Serving would; an unknown field is an error."""
    kinds = {bool: descriptor_pb2.FieldDescriptorProto.TYPE_BOOL, str: descriptor_pb2.FieldDescriptorProto.TYPE_STRING}
    file = descriptor_pb2.FileDescriptorProto(name="higgs_test.proto", package="higgs_test", syntax="proto3")
    file.dependency.append("google/protobuf/wrappers.proto")
    for message_name, fields in PROTOS.items():
        message = file.message_type.add(name=message_name)
        for field_name, (number, kind) in fields.items():
            field = message.field.add(name=field_name, number=number, label=1)
            field.type = kinds.get(kind, descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE)
            if isinstance(kind, str):
                field.type_name = kind
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    # Older protobufs have the one, newer ones the other.
    make_class = getattr(message_factory, "GetMessageClass", None) or message_factory.MessageFactory(pool).GetPrototype
    return text_format.Parse(text, make_class(pool.FindMessageTypeByName(f"higgs_test.{name}"))())


def read_yaml(name: str) -> list[dict]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


@pytest.fixture
def container() -> dict:
    [deployment] = read_yaml("deployment.yaml")
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    return container


def test_pushed_models_config_is_one_that_tf_serving_reads(blessed_run):
    text = (blessed_run.folder / "serving" / CONFIG_FILE).read_text()
    models = text_format.Parse(text, model_server_config_pb2.ModelServerConfig()).model_config_list.config
    assert [model.name for model in models] == ["higgs", "higgs-canary"]
    for model in models:
        assert (model.base_path, model.model_platform) == (f"{SERVER_ROOT}/higgs", "tensorflow")
        assert list(model.model_version_policy.specific.versions) == [int(blessed_run.versions[0].name)]


def test_batching_takes_what_the_client_sends():
    batching = parse("BatchingParameters", (DEPLOY / "batching.config").read_text())
    [option] = [option for option in predict.params if option.name == "batch_size"]
    assert isinstance(option, click.Option)
    assert batching.max_batch_size.value == option.default
    assert batching.num_batch_threads.value > 0


def test_monitoring_is_where_prometheus_is_told_to_look():
    monitoring = parse("MonitoringConfig", (DEPLOY / "monitoring.config").read_text())
    [deployment] = read_yaml("deployment.yaml")
    annotations = deployment["spec"]["template"]["metadata"]["annotations"]
    assert monitoring.prometheus_config.enable
    assert monitoring.prometheus_config.path == annotations["prometheus.io/path"]


@pytest.mark.parametrize("name", MANIFESTS)
def test_manifest_is_valid(name):
    for manifest in read_yaml(name):
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_manifest_with_a_typing_error_is_not_valid():
    [deployment] = read_yaml("deployment.yaml")
    deployment["spec"]["replica"] = 2
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, KUBERNETES, strict=True)


def test_manifests_belong_together(container):
    [kustomization] = read_yaml("kustomization.yaml")
    assert tuple(kustomization["resources"]) == MANIFESTS
    [deployment], services, [autoscaler] = map(read_yaml, MANIFESTS)
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    ports = {port["name"] for port in container["ports"]}
    for service in services:
        assert service["spec"]["selector"] == labels
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    assert autoscaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    [generated] = kustomization["configMapGenerator"]
    volumes = {volume["name"]: volume for volume in deployment["spec"]["template"]["spec"]["volumes"]}
    assert volumes["config"]["configMap"]["name"] == generated["name"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts == {"runs": SERVER_ROOT, "config": "/config"}
    for name in generated["files"]:
        assert any(f"=/config/{name}" in argument for argument in container["args"])
        assert (DEPLOY / name).exists()


def test_one_machine_and_kubernetes_run_the_same_server(container):
    [compose] = read_yaml("compose.yaml")
    service = compose["services"]["serving"]
    assert (service["image"], service["command"]) == (container["image"], container["args"])
    flags = dict(argument.removeprefix("--").split("=") for argument in container["args"])
    assert flags["model_config_file"] == f"{SERVER_ROOT}/{CONFIG_FILE}"
    assert 2 * int(flags["model_config_file_poll_wait_seconds"]) < SETTLED_S
    # A version that does not load is given up before its push is, and holds up no other meanwhile.
    assert int(flags["num_load_threads"]) > 1
    tries_s = int(flags["max_num_load_retries"]) * int(flags["load_retry_interval_micros"]) / 1e6
    assert int(flags["model_config_file_poll_wait_seconds"]) + tries_s < LOAD_WAIT_S


def test_pod_is_ready_when_the_stable_version_serves(container):
    assert container["readinessProbe"]["httpGet"]["path"] == "/v1/models/higgs/metadata"
    assert container["startupProbe"]["httpGet"]["path"] == "/v1/models/higgs"


def test_server_finds_what_the_pipeline_pushes(container):
    """The claim, its namespace and the folder on it are those of the README's --volume and of the default --output."""
    [(claim, mounted)] = {tuple(found) for found in re.findall(r"--volume (\w+):(\S+)", README.read_text())}
    [output] = [option.default for option in compile_command.params if option.name == "output"]
    pushed_to = Workspace(Config(output=output)).serving
    [kustomization], [pipelines] = read_yaml("kustomization.yaml"), [yaml.safe_load(KUSTOMIZATION.read_text())]
    assert kustomization["namespace"] == pipelines["namespace"]
    [deployment] = read_yaml("deployment.yaml")
    volumes = {volume["name"]: volume for volume in deployment["spec"]["template"]["spec"]["volumes"]}
    assert volumes["runs"]["persistentVolumeClaim"]["claimName"] == claim
    [mount] = [mount for mount in container["volumeMounts"] if mount["name"] == "runs"]
    assert f"{mounted}/{mount['subPath']}/{Config().name}" == pushed_to
    assert "runs" in {mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] == SERVER_ROOT}


def test_compose_serves_what_a_run_pushes():
    [compose] = read_yaml("compose.yaml")
    [runs] = [volume for volume in compose["services"]["serving"]["volumes"] if isinstance(volume, dict)]
    default = re.fullmatch(r"\$\{HIGGS_SERVING:-(.*)\}", runs["source"])[1]
    assert (DEPLOY / default).resolve() == README.parent / "runs" / "serving"
    assert os.path.dirname(Workspace(Config()).serving).endswith("/runs/serving")
    assert (runs["target"], runs["read_only"]) == (SERVER_ROOT, True)
    assert runs["bind"] == {"create_host_path": False}
