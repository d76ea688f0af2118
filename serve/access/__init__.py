"""Who may query what, and how often."""
