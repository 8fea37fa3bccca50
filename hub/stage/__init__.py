"""A deployment of its own for a demo or a drill, with shops that push orders into it; nothing is left behind."""
