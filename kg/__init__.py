"""Facts: schema, tables, stores, splits and the graph. Imports nothing else of the project."""
