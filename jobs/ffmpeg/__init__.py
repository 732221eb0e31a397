"""The media engine: files in, verified renditions out. No database, no storage."""
