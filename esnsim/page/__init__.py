"""Results as pages: one file that opens offline, with tables, pictures and the JSON."""
