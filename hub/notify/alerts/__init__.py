"""Groups of alerts of Alertmanager as cards: one for each cause, renewed where that matters, one when it is over."""
