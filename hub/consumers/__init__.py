"""The systems' side: the ledger keeps what the bus brings, and each system is brought up to date from it."""
