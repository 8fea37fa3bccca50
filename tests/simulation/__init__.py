"""The hub in one thread, on a clock and a bus of our own: whatever a seed says happens again."""
