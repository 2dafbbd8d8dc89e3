"""Files that are no models: read bounded, written whole or not at all."""
