"""Programs of the peers: each a process with packages of its own, told what to do by one JSON argument.

    .bench-venv/bin/python -m benchmarks.peers.NAME '{"db": URL, "bus": URL, "exchange": NAME, "events": N, …}'

It prints one JSON line when it is ready and one when it is done; starting and connecting are not counted.
"""
