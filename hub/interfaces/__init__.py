"""Settings of the systems' interfaces: which is spoken, where it is, what it wants to know. One file a system."""
