"""What operators do: free what is parked, replay, settle dead letters, and throw old records away."""
