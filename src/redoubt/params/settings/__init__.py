"""What the stages read: the sections of params.yaml as strict types, without the loader of the file."""
