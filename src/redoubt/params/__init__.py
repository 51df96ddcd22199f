"""params.yaml as strict types, and what each stage reads of it."""
