"""What produces tokens: one module per engine, and where weights come from."""
