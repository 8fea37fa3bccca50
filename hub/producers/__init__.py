"""The OMS side: how orders come in, and how their events go out."""
