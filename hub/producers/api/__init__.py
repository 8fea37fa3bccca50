"""The OMS over HTTP: create an order, change it, read it."""
