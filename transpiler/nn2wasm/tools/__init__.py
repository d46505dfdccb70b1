"""What is built on the API: reports on models and modules, and comparisons with a reference."""
