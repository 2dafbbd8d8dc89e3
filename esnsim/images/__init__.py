"""Sets of images, and the files that they come in."""
