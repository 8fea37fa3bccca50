"""Comparing the OMS with every system, order by order."""
