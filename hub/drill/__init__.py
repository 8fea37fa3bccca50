"""A drill: real faults against a scratch deployment, and a verdict that an operator can file."""
