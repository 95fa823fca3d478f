"""What is wrong with the layers of a network, from its log."""

from covdist.readings.gradients.health.layers import health as health
