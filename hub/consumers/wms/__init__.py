"""The WMS behind its real interface, Qimen (奇门)."""
