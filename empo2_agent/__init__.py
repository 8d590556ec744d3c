"""empo2-agent: an agent that gets better at a task while it is being used."""

__version__ = "0.1.0"
