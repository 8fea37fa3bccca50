"""The hub in one thread, on a clock and a bus of our own: whatever a seed says happens again.

Every process of the hub is a greenlet and runs unchanged. At labels and at calls of the bus or the system the seed
says who goes on and who dies. All share one connection to a database in memory, so no two transactions ever overlap:
what locks are for is shown by the contract tests on PostgreSQL.
"""
