"""Calls to other systems over HTTP: one client for all, and the record of every request and answer."""
