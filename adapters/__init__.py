"""The first floor: providers, as data and a few oddities. Pure: secrets and time are handed in."""
