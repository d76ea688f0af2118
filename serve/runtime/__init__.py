"""The run that is served: loaded, swapped whole, answered in threads."""
