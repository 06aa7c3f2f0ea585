"""Shows iterations in MLflow: one run each, sent behind the answer from a process of its own, so that a server that is
down, slow or closed to us costs an iteration neither its answer nor its time. `sender` alone imports mlflow."""
