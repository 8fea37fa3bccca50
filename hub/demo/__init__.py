"""The main job as a short story: real processes, real HTTP, and a comparison order by order at its end."""
