"""What the stages recorded, mirrored into MLflow: `sync` does it, and `client` alone imports mlflow.

The door stays empty: who only asks where the store is (`uri`) must not wait seconds for mlflow.
"""
