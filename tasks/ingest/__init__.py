"""NWB files become validated, catalogued streams, or go to quarantine."""
