"""States of rows in an order: neighbours merge, the earlier rows on the left."""
