"""The Kubernetes manifests: valid by Kubernetes' own schemas, and in step with the code where they repeat it."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from postroom_broker import keys
from postroom_contract.names import ALL_QUEUES
from postroom_contract.setting_names import SETTINGS
from postroom_worker.desk import CANCEL_S
from postroom_worker.pool import DRAIN_S, LAST_WORDS_S, RECORD_S
from tests.support.compose import ROOT, read_services

FOLDER = ROOT / "ops" / "kubernetes"
VERSION = "1.30"
# Not Kubernetes' own kinds: they have no schema there.
FOREIGN = {"Kustomization", "ScaledObject", "PodMonitor"}


def documents(name: str) -> list[dict[str, Any]]:
    """The documents of a file."""
    return list(yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")))


def deployments() -> dict[str, dict[str, Any]]:
    """Each deployment's pod, by name."""
    found = [document for path in FOLDER.glob("*.yaml") for document in documents(path.name)]
    return {
        each["metadata"]["name"]: each["spec"]["template"]["spec"] for each in found if each["kind"] == "Deployment"
    }


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.name)
def test_manifests_are_valid(path: Path) -> None:
    """By the schema of the version that all clouds have; what is not Kubernetes' own is at least an object with a name."""
    for document in documents(path.name):
        if document["kind"] in FOREIGN:
            assert {"apiVersion", "kind"} <= set(document)
        else:
            kubernetes_validate.validate(document, VERSION, strict=True)


def test_everything_is_taken_in_or_named() -> None:
    """A file that nobody applies would not be missed."""
    text = (FOLDER / "kustomization.yaml").read_text(encoding="utf-8")

    assert [path.name for path in FOLDER.glob("*.yaml") if path.name not in text] == ["kustomization.yaml"]
    assert set(documents("kustomization.yaml")[0]["resources"]) == {
        "worker.yaml",
        "beat.yaml",
        "flower.yaml",
        "networkpolicy.yaml",
    }


@pytest.mark.parametrize("name", ["postroom-worker", "postroom-beat", "postroom-flower"])
def test_pods_have_no_more_than_they_need(name: str) -> None:
    """No root, no writable root file system, no rights, no token of the cluster, and settings that exist."""
    pod = deployments()[name]
    [container] = pod["containers"]
    locked = container["securityContext"]
    settings = {
        each["name"].removesuffix("_FILE") if each["name"] not in SETTINGS else each["name"]
        for each in container["env"]
    }

    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["automountServiceAccountToken"] is False
    assert (locked["allowPrivilegeEscalation"], locked["readOnlyRootFilesystem"]) == (False, True)
    assert locked["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["limits"]["memory"]
    assert settings <= SETTINGS


def test_only_the_worker_can_open_passwords() -> None:
    """As in the compose file."""
    with_password_keys = {
        name for name, pod in deployments().items() if "PASSWORD_KEYS" in str(pod["containers"][0]["env"])
    }

    assert with_password_keys == {"postroom-worker"}


def test_the_worker_has_time_to_end() -> None:
    """The grace is longer than the drain, the patience with committed sends, and the goodbyes."""
    longest = DRAIN_S + CANCEL_S + RECORD_S + LAST_WORDS_S

    assert deployments()["postroom-worker"]["terminationGracePeriodSeconds"] > longest


def test_probes_look_at_what_the_health_check_looks_at() -> None:
    """One rule, tried out with real workers where compose's is."""
    *_, check = read_services()["worker"].healthcheck
    for name in ("postroom-worker", "postroom-beat"):
        [container] = deployments()[name]["containers"]
        *_, ready = container["readinessProbe"]["exec"]["command"]
        *_, alive = container["livenessProbe"]["exec"]["command"]

        assert ready == check.replace("$$", "$")
        assert alive == ready.replace("-n", "-z").replace("-mmin -", "-mmin +")
        assert {"name": "POSTROOM_ALIVE_FILE", "value": "/tmp/alive"} in container["env"]  # noqa: S108 -- in the container


@pytest.mark.parametrize(
    ("age_s", "is_ready", "is_alive"), [(None, False, True), (0, True, True), (14, True, True), (20, False, False)]
)
def test_a_pod_without_a_sign_is_not_ready_and_is_left_alone(
    tmp_path: Path, age_s: float | None, *, is_ready: bool, is_alive: bool
) -> None:
    """It waits for Redis, or ends what it sends; only one that has shown a sign and shows it no more is killed."""
    if age_s is not None:
        (tmp_path / "alive").touch()
        os.utime(tmp_path / "alive", (time.time() - age_s, time.time() - age_s))
    [container] = deployments()["postroom-worker"]["containers"]
    found = {}
    for name in ("readinessProbe", "livenessProbe"):
        command = [word.replace("/tmp/alive", str(tmp_path / "alive")) for word in container[name]["exec"]["command"]]  # noqa: S108
        found[name] = subprocess.run(command, check=False, capture_output=True).returncode == 0

    assert found == {"readinessProbe": is_ready, "livenessProbe": is_alive}


def test_the_network_policy_is_for_all_pods_and_lets_metrics_be_read() -> None:
    """By names that the deployments have."""
    [policy] = documents("networkpolicy.yaml")
    [selected] = policy["spec"]["podSelector"]["matchExpressions"]
    [[port]] = [rule["ports"] for rule in policy["spec"]["ingress"]]

    assert selected["values"] == ["postroom-worker", "postroom-beat", "postroom-flower"]
    assert set(selected["values"]) == set(deployments())
    assert port["port"] in {each["name"] for each in deployments()["postroom-worker"]["containers"][0]["ports"]}


def test_the_scaler_counts_every_queue_and_what_workers_hold() -> None:
    """By names that the code has, at an address of its own; and never to none, for somebody has to look for what falls due."""
    [scaler] = documents("keda.yaml")
    triggers = scaler["spec"]["triggers"]

    assert [each["metadata"]["listName"] for each in triggers] == [*ALL_QUEUES, keys.UNACKED_INDEX]
    assert {each["type"] for each in triggers} == {"redis"}
    assert all(":" in each["metadata"]["address"] for each in triggers)
    assert scaler["spec"]["minReplicaCount"] >= 1
    assert scaler["spec"]["scaleTargetRef"]["name"] in deployments()
