"""The object that is evaluated and served, its filters, and what joins it without training."""
