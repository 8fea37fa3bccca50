"""What Alertmanager's webhook sends, format version 4 (Prometheus documentation, Alertmanager, `webhook_config`).

Fields that are not named here are left alone, so that a newer Alertmanager is understood too.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from hub.schemas.text import Moment

MOST_ALERTS = 10_000
MOST_LABELS = 64

_NOT_ENDED = "0001-01-01T00:00:00Z"

Name = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Value = Annotated[str, StringConstraints(max_length=8192)]
Values = Annotated[dict[Name, Value], Field(max_length=MOST_LABELS)]
Status = Literal["firing", "resolved"]


def _written(value: object) -> object:
    if isinstance(value, (int, float)):
        raise ValueError("is a number; a moment is written such as 2026-11-23T08:00:00+08:00")  # noqa: TRY004
    return None if value == _NOT_ENDED else value


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Alert(_Said):
    """One alert of a group; it has an end once it is resolved."""

    status: Status
    labels: Values
    annotations: Values = Field(default_factory=dict)
    starts_at: Annotated[Moment, BeforeValidator(_written), Field(alias="startsAt")]
    ends_at: Annotated[Moment | None, BeforeValidator(_written), Field(alias="endsAt")] = None


class Webhook(_Said):
    """One group of alerts as it stands now. `truncated` alerts were left out, as `max_alerts` says."""

    version: Literal["4"]
    status: Status
    group: Annotated[str, StringConstraints(min_length=1, max_length=16_384), Field(alias="groupKey")]
    truncated: Annotated[int, Field(alias="truncatedAlerts", strict=True, ge=0, le=1_000_000)] = 0
    common_labels: Annotated[Values, Field(alias="commonLabels")] = Field(default_factory=dict)
    common_annotations: Annotated[Values, Field(alias="commonAnnotations")] = Field(default_factory=dict)
    alerts: Annotated[tuple[Alert, ...], Field(min_length=1, max_length=MOST_ALERTS)]
