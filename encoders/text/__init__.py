"""Texts to vectors: tokens, a Hugging Face encoder, its tuning and its export."""
