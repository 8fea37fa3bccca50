"""The audit: who did what and why, chained so that no row can change unseen."""
