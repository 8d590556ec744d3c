"""Tips: which fit a state (`tips`), where they are kept (`chroma`), how states are embedded."""
