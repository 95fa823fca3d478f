"""What is computed from one matrix that a state holds."""
