"""The files of a bundle: errors, types, reading and writing."""
