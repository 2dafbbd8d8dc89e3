"""Statistics of channels, measured on images, and brought back to those in float."""
