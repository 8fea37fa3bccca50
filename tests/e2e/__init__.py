"""The command line, from the first order to the comparison with every system."""
