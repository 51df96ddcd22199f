"""What every stage knows of a data set: its arrays, its columns and how the text of a table is read."""
