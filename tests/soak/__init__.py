"""A soak: orders at a steady rate for a long time, a fault every half minute, and what is left when it is over."""
