"""What the tests have in common: the charts rendered, and looked at."""

import functools
import os
import pathlib
import subprocess

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHARTS = ROOT / "helm"
STYLES = sorted(file.parents[1].name for file in CHARTS.glob("*/templates/_style.tpl"))
EVENT_STYLES = [style for style in STYLES if "kafka" in yaml.safe_load((CHARTS / style / "values.yaml").read_text())]
STYLES_WITHOUT_KAFKA = [style for style in STYLES if style not in EVENT_STYLES]
SERVICES = {style: sorted(yaml.safe_load((CHARTS / style / "values.yaml").read_text())["services"]) for style in STYLES}
OWNERS = {style: [service for service in SERVICES[style] if service != "gateway"] for style in STYLES}
WITH_BOOKINGS = [style for style in STYLES if "ticket" in SERVICES[style]]
# Who uses Kafka: whose messages are documented, which is written from the code.
ON_KAFKA = {
    style: sorted(file.name.partition(".")[0] for file in (ROOT / "api-specs" / style).glob("*.asyncapi.yaml"))
    for style in STYLES
}
# Those that are called by gRPC. Written down here once more: the templates and this must agree.
BY_GRPC = [("grpc", "billing"), ("grpc", "notification"), ("grpc", "order")]
# For tests that look at one service of one style.
EVERY_SERVICE = [(style, service) for style in STYLES for service in SERVICES[style]]

# Both that the charts are made for; the one that a test is run with is `program`.
HELMS = {"helm3": os.environ["HELM3"], "helm4": os.environ["HELM4"]}
program = None

# The oldest version that the charts allow, and the one whose schemas are checked.
KUBERNETES = ["1.30.0", "1.37.0"]


def helm(*arguments, check=True, by=None):
    """Runs Helm, without any cluster that this machine may know of."""
    command = [by or program, *map(str, arguments)]
    environment = {**os.environ, "KUBECONFIG": os.devnull}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=CHARTS)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)}\n{done.stderr}")
    return done


def parse(text):
    """The objects in what Helm has rendered."""
    return [document for document in yaml.load_all(text, Loader=yaml.CSafeLoader) if document]


@functools.cache
def rendered(by, style, arguments):
    """The text that this Helm makes of a style."""
    return helm("template", "hw", style, "--namespace=hw", f"--kube-version={KUBERNETES[-1]}", *arguments, by=by).stdout


def flags(style, *settings, production=False):
    values = [f"--values={style}/production-values.yaml"] if production else []
    return (*values, *(f"--set={setting}" for setting in settings))


def render(style, *settings, production=False):
    """The objects of a style with settings such as `kafka.enabled=false`; production: with the example for that."""
    return parse(rendered(program, style, flags(style, *settings, production=production)))


def refusal(style, *settings):
    """Why these settings are refused."""
    done = helm("template", "hw", style, f"--kube-version={KUBERNETES[-1]}", *flags(style, *settings), check=False)
    assert done.returncode, f"{settings} were accepted"
    return done.stderr


def find(documents, kind, name):
    """The object of that name, without the release's: `order`, not `hw-order`."""
    (found,) = [d for d in documents if d["kind"] == kind and d["metadata"]["name"] == f"hw-{name}"]
    return found


def pods(documents):
    """The specification and the labels of every pod, by its part."""
    for document in documents:
        if document["kind"] in ("Pod", "Deployment", "StatefulSet"):
            pod = document if document["kind"] == "Pod" else document["spec"]["template"]
            yield pod["metadata"]["labels"]["app.kubernetes.io/component"], pod


def containers(pod):
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def environment(documents, service):
    """What the service's process finds in its environment; of a secret, where it is."""
    (container,) = find(documents, "Deployment", service)["spec"]["template"]["spec"]["containers"]
    (source,) = container["envFrom"]
    assert source["configMapRef"]["name"] == f"hw-{service}"
    secrets = {}
    for variable in container.get("env", []):
        reference = variable["valueFrom"]["secretKeyRef"]
        secrets[variable["name"]] = (reference["name"], reference["key"])
    return find(documents, "ConfigMap", service)["data"] | secrets
