"""How like each other two layers are, by their columns' covariances from the same rows."""
