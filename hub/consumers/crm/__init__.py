"""The CRM over HTTP: one file an interface."""
