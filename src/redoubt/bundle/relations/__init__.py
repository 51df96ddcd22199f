"""Relations between the columns of a table: their language, and where they hold."""
