"""The way of events to everybody who wants them: one port, two transports."""
