"""A deployment of its own for a demo or a drill: settings, tables, queues and processes, and nothing left behind."""
