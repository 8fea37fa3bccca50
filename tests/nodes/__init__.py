"""Private throw-away servers, never the ones this machine already runs."""
