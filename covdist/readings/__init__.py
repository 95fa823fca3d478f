"""One file = one question asked of the states: labelled xarray in, labelled xarray out."""

# Packages of readings; any other package here is one reading.
SHELVES = (
    "dependence", "distributions", "eigenvalues", "estimates", "gradients", "interventions",
    "layers", "rows", "uncertainty", "windows",
)  # fmt: skip
