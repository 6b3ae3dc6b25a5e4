"""rancast decides: schemas, rules, features, models and decisions, free of every outside system.

Nothing here imports prefect, azure, mlflow or great_expectations: what touches the world lives in
`tasks`, the order of things in `flows`.
"""
