"""The report of models that are compared."""
