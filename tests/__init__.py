"""The tests, and the fakes that benchmarks share with them."""
