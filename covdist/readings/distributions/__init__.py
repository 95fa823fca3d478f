"""How far two distributions of the same columns are apart."""
