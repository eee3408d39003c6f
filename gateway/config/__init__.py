"""Configuration: hookmill.toml and models.yaml, read once, checked whole, then only handed on."""

from __future__ import annotations

from gateway.config.alerts import Alerts
from gateway.config.budgets import Budget
from gateway.config.door import Door
from gateway.config.errors import ConfigError
from gateway.config.models import Alias, Candidate, Models, load_models
from gateway.config.retry import Retry, RetryPolicy
from gateway.config.schedules import Schedule
from gateway.config.secret import Secret
from gateway.config.sinks import ChatRules, FileRules, ObjectRules, Rotation, Sink, SqlRules, WebhookRules
from gateway.config.sources import Source
from gateway.config.toml import Config, load_config

__all__ = [
    "Alerts",
    "Alias",
    "Budget",
    "Candidate",
    "ChatRules",
    "Config",
    "ConfigError",
    "Door",
    "FileRules",
    "Models",
    "ObjectRules",
    "Retry",
    "RetryPolicy",
    "Rotation",
    "Schedule",
    "Secret",
    "Sink",
    "Source",
    "SqlRules",
    "WebhookRules",
    "load_config",
    "load_models",
]
