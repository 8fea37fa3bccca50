"""Honest stand-ins for what the hub talks to: they keep their originals' rules, a journal, and fail on request."""
