"""The analog crossbar."""
