"""Subscriptions: other companies and teams that read events of their own choice from queues of their own."""
