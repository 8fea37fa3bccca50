"""Tests; a package so that every folder can import `tests.nodes`."""
