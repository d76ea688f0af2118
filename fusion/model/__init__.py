"""The hybrid model: gate, context, features, head and losses."""
