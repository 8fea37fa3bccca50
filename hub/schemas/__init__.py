"""What travels: the order, the event around it, and the bytes they are written as."""
