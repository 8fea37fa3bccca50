"""One profile for every generated example: no deadline, for a busy machine is no failure."""

from hypothesis import HealthCheck, settings

settings.register_profile("unit", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unit")
