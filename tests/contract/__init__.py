"""One suite for each port, run against everything that claims to be one."""
