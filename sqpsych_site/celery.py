"""The Celery application. Tasks live in each app's tasks.py and use sqpsych_site.tasks.task."""

import os

from celery import Celery
from django_structlog.celery.steps import DjangoStructLogInitStep

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sqpsych_site.settings")

app = Celery("sqpsych")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.steps["worker"].add(DjangoStructLogInitStep)
app.autodiscover_tasks()
