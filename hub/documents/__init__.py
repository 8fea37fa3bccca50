"""The reference in docs/reference, made from the code that it is about: settings, commands, metrics, tables, codes."""
