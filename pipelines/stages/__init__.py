"""Stages that know nothing of robots: they choose and pass on episodes that are there."""
