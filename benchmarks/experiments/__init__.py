"""Training experiments: each module runs its commands, resumably, and collects what they measured."""
