"""Bugs planted on purpose, one at a time: a suite that does not turn red for each of them protects nothing."""
