"""Every task has the name that waiting messages know, and a queue that some worker takes from."""

import ast
import re
from pathlib import Path

import pytest

from chuizi.celery import app
from chuizi.local.supervisor import programs
from chuizi.schedule import SCHEDULE
from tests.test_architecture import APPS, sources

QUEUES = {
    "accounts.tasks.end_expired_keys": "celery",
    "accounts.tasks.tidy": "celery",
    "billing.tasks.audit": "celery",
    "billing.tasks.close_days": "celery",
    "billing.tasks.close_statements": "celery",
    "billing.tasks.end_budgets": "celery",
    "billing.tasks.end_bonus": "celery",
    "billing.tasks.send_mail": "celery",
    "billing.tasks.summarize_weeks": "celery",
    "billing.tasks.tidy": "celery",
    "billing.tasks.watch": "celery",
    "payments.tasks.fetch_statements": "payments",
    "payments.tasks.look_at_balances": "payments",
    "payments.tasks.look_at_card": "payments",
    "payments.tasks.look_at_refund": "payments",
    "payments.tasks.look_at_refunds": "payments",
    "payments.tasks.look_for_events": "payments",
    "payments.tasks.poll_topup": "polling",
    "payments.tasks.poll_topups": "payments",
    "payments.tasks.process_notification": "payments",
    "payments.tasks.process_notifications": "payments",
    "payments.tasks.send_refund": "payments",
    "payments.tasks.send_refunds": "payments",
    "payments.tasks.top_up_if_low": "payments",
    "proxy.tasks.count_left": "celery",
    "proxy.tasks.finish_bills": "celery",
    "proxy.tasks.look_at_jobs": "celery",
    "proxy.tasks.post_purchases": "purchases",
    "proxy.tasks.rerate": "rerating",
    "proxy.tasks.settle": "settlement",
    "proxy.tasks.sweep": "celery",
    "proxy.tasks.tidy_kept": "celery",
    "proxy.tasks.tidy_once": "celery",
    "proxy.tasks.try_upstream": "celery",
    "webhooks.tasks.deliver": "webhooks",
    "webhooks.tasks.tidy": "webhooks",
}


def queue_of(task: str) -> str:
    return app.amqp.router.route({}, task)["queue"].name


def queues_taken(commands: list[str]) -> set[str]:
    """What the workers among these commands take from."""
    named = [found[1] for command in commands if (found := re.search(r"\bworker\b.* -Q (\S+)", command))]
    return {queue for names in named for queue in names.split(",")}


def in_procfile(repository: Path) -> list[str]:
    return (repository / "Procfile").read_text(encoding="utf-8").splitlines()


def in_supervisor(repository: Path) -> list[str]:
    run = programs(state=repository, port=1, sandbox_port=2, site_url="http://localhost:1")
    return [" ".join(program.command) for program in run]


def test_tasks_have_their_names_and_queues():
    app.autodiscover_tasks(force=True)
    ours = {name for name in app.tasks if not name.startswith("celery.")}
    assert {name: queue_of(name) for name in ours} == QUEUES


def test_a_task_says_its_name_itself(repository):
    """So that moving its module does not lose what was sent before."""
    for file, text in sources(repository, *APPS, "chuizi"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                made = [ast.unparse(by) for by in node.decorator_list if "task" in ast.unparse(by)]
                assert all("name='" in by for by in made), f"{file}: {node.name}"


def test_beat_asks_for_tasks_that_are_there():
    assert {turn["task"] for turn in SCHEDULE.values()} <= set(QUEUES)


@pytest.mark.parametrize("commands", [in_procfile, in_supervisor])
def test_every_queue_has_a_worker(repository, commands):
    assert queues_taken(commands(repository)) == set(QUEUES.values())
