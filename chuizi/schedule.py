"""What beat asks for, and how often. Each task expires before its next turn, so that a pause leaves no queue."""

from typing import Any

from celery.schedules import crontab

SCHEDULE: dict[str, dict[str, Any]] = {
    "send-mail": {"task": "billing.tasks.send_mail", "schedule": 5.0, "options": {"expires": 5}},
    "watch": {"task": "billing.tasks.watch", "schedule": 20.0, "options": {"expires": 20}},
    "end-budgets": {"task": "billing.tasks.end_budgets", "schedule": 5.0, "options": {"expires": 5}},
    "summarize-weeks": {"task": "billing.tasks.summarize_weeks", "schedule": 60.0, "options": {"expires": 60}},
    "end-bonus": {"task": "billing.tasks.end_bonus", "schedule": 20.0, "options": {"expires": 20}},
    "close-days": {"task": "billing.tasks.close_days", "schedule": 1800.0, "options": {"expires": 1800}},
    "close-statements": {
        "task": "billing.tasks.close_statements",
        "schedule": 900.0,
        "options": {"expires": 900},
    },
    "audit": {"task": "billing.tasks.audit", "schedule": crontab(hour="18", minute="30"), "options": {"expires": 3600}},
    "tidy-facts": {"task": "billing.tasks.tidy", "schedule": 3600.0, "options": {"expires": 3600}},
    "tidy": {"task": "accounts.tasks.tidy", "schedule": 3600.0, "options": {"expires": 3600}},
    "end-expired-keys": {
        "task": "accounts.tasks.end_expired_keys",
        "schedule": 20.0,
        "options": {"expires": 20},
    },
    "settle": {"task": "proxy.tasks.settle", "schedule": 1.0, "options": {"expires": 5}},
    "post-purchases": {"task": "proxy.tasks.post_purchases", "schedule": 5.0, "options": {"expires": 5}},
    "count-left": {"task": "proxy.tasks.count_left", "schedule": 20.0, "options": {"expires": 20}},
    "rerate": {"task": "proxy.tasks.rerate", "schedule": 5.0, "options": {"expires": 5}},
    "finish-bills": {"task": "proxy.tasks.finish_bills", "schedule": 60.0, "options": {"expires": 60}},
    "look-at-jobs": {"task": "proxy.tasks.look_at_jobs", "schedule": 2.0, "options": {"expires": 2}},
    "tidy-kept": {"task": "proxy.tasks.tidy_kept", "schedule": 3600.0, "options": {"expires": 3600}},
    "tidy-once": {"task": "proxy.tasks.tidy_once", "schedule": 60.0, "options": {"expires": 60}},
    "sweep": {"task": "proxy.tasks.sweep", "schedule": 10.0, "options": {"expires": 10}},
    "poll-topups": {"task": "payments.tasks.poll_topups", "schedule": 3.0, "options": {"expires": 3}},
    "deliver-webhooks": {"task": "webhooks.tasks.deliver", "schedule": 5.0, "options": {"expires": 5}},
    "tidy-webhooks": {"task": "webhooks.tasks.tidy", "schedule": 3600.0, "options": {"expires": 3600}},
    "look-at-balances": {"task": "payments.tasks.look_at_balances", "schedule": 5.0, "options": {"expires": 5}},
    "send-refunds": {"task": "payments.tasks.send_refunds", "schedule": 3.0, "options": {"expires": 3}},
    "look-at-refunds": {"task": "payments.tasks.look_at_refunds", "schedule": 5.0, "options": {"expires": 5}},
    "look-for-events": {"task": "payments.tasks.look_for_events", "schedule": 900.0, "options": {"expires": 900}},
    "fetch-statements": {
        "task": "payments.tasks.fetch_statements",
        "schedule": 1800.0,
        "options": {"expires": 1800},
    },
    "process-notifications": {
        "task": "payments.tasks.process_notifications",
        "schedule": 5.0,
        "options": {"expires": 5},
    },
}
