"""The HTTP API: routes, schemas, answers and their description."""
