"""Any array as pieces of rows that one task reads, and the fold of a shard."""
