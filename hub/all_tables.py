"""Every table of the hub's own database: whoever takes the metadata from here knows all of them."""

from __future__ import annotations

from hub import night_tables, own_tables, subscription_tables, tables
from hub.columns import metadata

__all__ = ["metadata", "night_tables", "own_tables", "subscription_tables", "tables"]
