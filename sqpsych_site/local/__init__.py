"""The embedded services of a local installation, and the program that runs them together."""
