"""The Kubernetes manifests: valid by Kubernetes' own schemas, and in step with the code where they repeat it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from postroom_contract.names import ALL_QUEUES
from postroom_contract.setting_names import SETTINGS
from postroom_worker.desk import CANCEL_S
from postroom_worker.pool import DRAIN_S, LAST_WORDS_S, RECORD_S
from tests.support.compose import ROOT, read_services

FOLDER = ROOT / "ops" / "kubernetes"
VERSION = "1.30"
# Not Kubernetes' own kinds: they have no schema there.
FOREIGN = {"Kustomization", "ScaledObject", "PodMonitor"}
TABLE = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")


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
    assert set(documents("kustomization.yaml")[0]["resources"]) == {"worker.yaml", "beat.yaml", "flower.yaml"}


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
        *_, probe = container["livenessProbe"]["exec"]["command"]

        assert probe == check.replace("$$", "$")
        assert {"name": "POSTROOM_ALIVE_FILE", "value": "/tmp/alive"} in container["env"]  # noqa: S108 -- in the container


def test_the_scaler_counts_every_queue_and_what_workers_hold() -> None:
    """By names that the code has; and never scales to none, because somebody has to look for what falls due."""
    [scaler] = documents("keda.yaml")
    triggers = scaler["spec"]["triggers"]
    lists = [each["metadata"]["listName"] for each in triggers if each["type"] == "redis"]
    [query] = [each["metadata"]["query"] for each in triggers if each["type"] == "prometheus"]

    assert lists == list(ALL_QUEUES)
    assert "`postroom_leased_messages`" in TABLE
    assert query == "max(postroom_leased_messages)"
    assert scaler["spec"]["minReplicaCount"] >= 1
    assert scaler["spec"]["scaleTargetRef"]["name"] in deployments()
