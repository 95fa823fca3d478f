"""Leading eigenpairs of the covariance, by the method that fits rows and columns."""

from covdist.readings.spectrum.methods import read, spectrum

__all__ = ["read", "spectrum"]
