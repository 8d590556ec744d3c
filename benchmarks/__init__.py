"""Side-by-side measurements, each a command of its own; see README.md."""
