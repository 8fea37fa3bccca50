"""The ERP over HTTP: one file an interface."""
