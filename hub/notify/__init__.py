"""Telling people: cards to group robots, queued in the database, told once on each channel."""
