"""Measurements, as ratios in one run. Nothing here is asserted by a clock."""
