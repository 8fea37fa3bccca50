"""Measurements side by side with other tools, each in one command."""
