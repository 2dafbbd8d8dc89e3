"""What a model's outputs are worth on images."""
