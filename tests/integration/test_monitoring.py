"""What operators load (dashboard, alert rules, runbook, table of metrics) against what a running worker shows."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from postroom import State
from postroom.testing import SmtpServer, at
from tests.conftest import require
from tests.integration.test_metrics import Series, a_watched_worker, scrape, value
from tests.support.post import ROOT, Post, a_message
from tests.support.waiting import wait_until

RULES = ROOT / "ops" / "prometheus" / "alerts.yml"
DASHBOARD = ROOT / "ops" / "grafana" / "postroom.json"
RUNBOOK = ROOT / "ops" / "runbook.md"
TABLE = ROOT / "docs" / "metrics.md"

NAME = re.compile(r"\b(?:postroom|process)_\w+")
# What Prometheus knows each series by, besides the labels that a worker gives.
OUTER_LABELS = {"job", "instance", "le"}

# A worker on which nothing is wrong, for an hour: series, and its values as promtool writes them.
WELL = {
    'postroom_worker_info{instance="a"}': "1x60",
    'postroom_broker_up{instance="a"}': "1x60",
    'postroom_broker_up{instance="b"}': "1x60",
    'postroom_queue_oldest_seconds{queue="postroom.urgent"}': "5x60",
    'postroom_queue_oldest_seconds{queue="postroom.normal"}': "200x60",
    'postroom_queue_oldest_seconds{queue="postroom.bulk"}': "2000x60",
    "postroom_delayed_late_seconds": "1x60",
    "postroom_loop_standstill_seconds": "0.1x60",
    'postroom_deliveries_total{state="sent",code="none"}': "0+600x60",
    'postroom_deliveries_total{state="failed",code="1301"}': "0+2x60",
    'postroom_deliveries_total{state="failed",code="300"}': "0x60",
    'postroom_deliveries_total{state="unknown",code="1303"}': "0x60",
    'postroom_attempts_total{result="sent"}': "0+600x60",
    "postroom_throttles_total": "0+6x60",
    "postroom_held_messages": "0x60",
    "postroom_dead_messages": "0x60",
    "postroom_bugs_total": "0x60",
    "postroom_sessions_awaited": "10x60",
    'postroom_news_total{result="told"}': "0+10x60",
    'postroom_news_total{result="put_off"}': "0+1x60",
    'postroom_news_total{result="dead"}': "0x60",
}
# What goes wrong, by the alert that it sets off, and that one alone.
WRONG: dict[str, dict[str, str | None]] = {
    "PostroomNoWorker": {'postroom_worker_info{instance="a"}': None},
    "PostroomBrokerDown": {'postroom_broker_up{instance="a"}': "0x60", 'postroom_broker_up{instance="b"}': "0x60"},
    "PostroomBrokerUnreachable": {'postroom_broker_up{instance="a"}': "0x60"},
    "PostroomUrgentMailWaits": {'postroom_queue_oldest_seconds{queue="postroom.urgent"}': "61x60"},
    "PostroomMailWaits": {'postroom_queue_oldest_seconds{queue="postroom.bulk"}': "3601x60"},
    "PostroomScheduleLate": {"postroom_delayed_late_seconds": "31x60"},
    "PostroomWorkerStuck": {"postroom_loop_standstill_seconds": "6x60"},
    "PostroomMailFails": {'postroom_deliveries_total{state="failed",code="1301"}': "0+60x60"},
    "PostroomLoginFails": {'postroom_deliveries_total{state="failed",code="300"}': "0x50 1x10"},
    "PostroomThrottled": {"postroom_throttles_total": "0+90x60"},
    "PostroomOutcomeUnknown": {'postroom_deliveries_total{state="unknown",code="1303"}': "0x50 1x10"},
    "PostroomMailHeld": {"postroom_held_messages": "1x60"},
    "PostroomDeadLetters": {"postroom_dead_messages": "1x60"},
    "PostroomBug": {"postroom_bugs_total": "0x50 1x10"},
    "PostroomSessionsShort": {"postroom_sessions_awaited": "51x60"},
    "PostroomReceiverAway": {'postroom_news_total{result="put_off"}': "0+20x60"},
    "PostroomNewsUntold": {'postroom_news_total{result="dead"}': "0x50 1x10"},
}


def rules() -> list[dict[str, Any]]:
    """All alerts."""
    found: list[dict[str, Any]] = [
        rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
    ]
    return found


def panels() -> list[dict[str, Any]]:
    """All panels of the dashboard that show something."""
    read: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return [panel for panel in read["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[str]:
    """Everything that Prometheus is asked."""
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])


def promtool() -> str:
    """Prometheus' own tool for its files."""
    found = shutil.which("promtool")
    require("promtool", is_there=found is not None)
    assert found is not None
    return found


@pytest.fixture
def shown(post: Post) -> Series:
    """What a running worker shows after mail that was sent, failed, put off and held."""
    answers = [
        at("RCPT").matching("later@").reply("421 4.7.0 Slow down, try again in 1 second").times(1),
        at("RCPT").matching("nobody@").reply("550 5.1.1 No such user"),
    ]
    silent = [at("END_OF_DATA").drop()]
    with SmtpServer(rules=answers) as server, SmtpServer(rules=silent) as doubtful, post.mailer() as mailer:
        session, doubt = (post.session(each, use_ssl=False, password=None) for each in (server, doubtful))
        with a_watched_worker(post) as port:
            held = mailer.send(a_message(), doubt, on_unknown="hold")
            for name in ("ann", "later", "nobody"):
                mailer.send(a_message(to=[f"{name}@example.com"]), session).outcome(timeout=60)
            wait_until(lambda: value(scrape(port), "postroom_attempt_seconds_count") == 5, 30, "the events")
            shown = scrape(port)
            assert held.state() == State.HELD
    return shown


def test_every_metric_and_label_that_is_asked_for_is_shown(shown: Series) -> None:
    """By its exact name, and with the labels that are chosen and grouped by."""
    for expression in expressions():
        asked = set(NAME.findall(expression))
        labels = {label for name, labels in shown if name in asked for label, _ in labels}
        chosen = {label for choice in re.findall(r"{(.*?)}", expression) for label in re.findall(r"(\w+)=", choice)}
        grouped = {label for group in re.findall(r"by \((.*?)\)", expression) for label in re.findall(r"\w+", group)}

        assert asked
        assert asked <= {name for name, _ in shown}, expression
        assert (chosen | grouped) - OUTER_LABELS <= labels, expression


def test_the_table_lists_every_metric_and_every_label(shown: Series) -> None:
    """And nothing that is not there."""
    listed = {
        name: set(re.findall(r"`(\w+)`", labels))
        for name, labels in re.findall(r"^\| `(postroom_\w+)` \|([^|]*)\|", TABLE.read_text(), re.MULTILINE)
    }
    there: dict[str, set[str]] = {}
    for name, labels in shown:
        if name.startswith("postroom_"):
            known = there.setdefault(re.sub("_(bucket|count|sum)$", "", name), set())
            known |= {label for label, _ in labels} - OUTER_LABELS

    assert listed == there


def test_the_rules_are_what_prometheus_takes() -> None:
    """Prometheus' own check, expressions included."""
    checked = subprocess.run([promtool(), "check", "rules", RULES], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stderr
    assert f"{len(rules())} rules found" in checked.stdout


def test_each_alert_fires_when_it_should_and_not_before(tmp_path: Path) -> None:
    """Prometheus plays an hour for each: what is well sets nothing off, and what is wrong one alert alone."""
    played = [_play("all is well", WELL, None)]
    played += [_play(alert, WELL | changes, alert) for alert, changes in WRONG.items()]
    file = tmp_path / "alerts_test.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": played}))
    ran = subprocess.run([promtool(), "test", "rules", file], capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr + ran.stdout
    assert WRONG.keys() == {rule["alert"] for rule in rules()}


def _play(name: str, series: Mapping[str, str | None], alert: str | None) -> dict[str, Any]:
    firing = [{"labels": f'{{alertname="{alert}"}}', "value": 1}] if alert else []
    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": each, "values": values} for each, values in series.items() if values],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": "55m",
                "exp_samples": firing,
            }
        ],
    }


def test_the_rules_have_the_form_that_prometheus_documents(tmp_path: Path) -> None:
    """Where promtool is missing: names, expressions, durations, labels and annotations are there, and nothing else."""
    rule = {
        "type": "object",
        "required": ["alert", "expr", "labels", "annotations"],
        "additionalProperties": False,
        "properties": {
            "alert": {"type": "string", "pattern": "^Postroom[A-Za-z]+$"},
            "expr": {"type": "string", "minLength": 1},
            "for": {"type": "string", "pattern": "^[0-9]+[smh]$"},
            "labels": {
                "type": "object",
                "required": ["severity"],
                "properties": {"severity": {"enum": ["page", "ticket"]}},
            },
            "annotations": {"type": "object", "required": ["summary", "runbook"]},
        },
    }
    group = {
        "type": "object",
        "required": ["name", "rules"],
        "additionalProperties": False,
        "properties": {"name": {"type": "string"}, "rules": {"type": "array", "items": rule}},
    }
    schema = {"type": "object", "required": ["groups"], "properties": {"groups": {"type": "array", "items": group}}}
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    check = [sys.executable, "-m", "check_jsonschema", "--schemafile", str(tmp_path / "schema.json"), str(RULES)]
    checked = subprocess.run(check, capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout


def test_each_alert_has_its_page_and_each_page_its_alert() -> None:
    """With what it means, how to see it and what to do; the alert's link leads there."""
    pages = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOK.read_text(), re.MULTILINE | re.DOTALL))
    links = {rule["alert"]: rule["annotations"]["runbook"] for rule in rules()}

    assert links == {name: f"ops/runbook.md#{name.lower()}" for name in pages}
    for page in pages.values():
        assert re.findall(r"^\*\*(\w+)\.\*\*", page, re.MULTILINE) == ["Means", "See", "Do"]


def test_the_dashboard_is_one_that_grafana_loads() -> None:
    """Whole JSON with ids of its own for each panel, a place for each, and one data source that the user chooses."""
    read: dict[str, Any] = json.loads(DASHBOARD.read_text())
    source = {"type": "prometheus", "uid": "${datasource}"}
    ids = [panel["id"] for panel in read["panels"]]
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in read["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert read["uid"] == "postroom"
    assert read["schemaVersion"] >= 36
    assert {variable["name"] for variable in read["templating"]["list"]} == {"datasource", "job"}
    assert len(set(ids)) == len(ids)
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) < 24
    for panel in panels():
        assert panel["datasource"] == source
        assert panel["targets"]
        assert all(target["datasource"] == source for target in panel["targets"])


def test_the_dashboards_expressions_are_what_prometheus_takes(tmp_path: Path) -> None:
    """Each as a rule of its own, with Grafana's variables filled in."""
    asked = [target["expr"].replace("$__rate_interval", "5m") for panel in panels() for target in panel["targets"]]
    recorded = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(asked)]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))
    checked = subprocess.run([promtool(), "check", "rules", file], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stderr
