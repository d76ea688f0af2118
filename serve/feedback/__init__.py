"""Events and purchases: stored first, then seen in answers."""
