"""A warehouse behind Qimen (奇门): what it takes, how orders go through it, and what it reports of its own accord."""
