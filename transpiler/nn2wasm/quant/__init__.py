"""The arithmetic of quantized networks: the definition that every target's C must equal."""
