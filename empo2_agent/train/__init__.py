"""Training with EMPO² (arXiv 2602.23008): collect groups of episodes, score them, update the policy."""
