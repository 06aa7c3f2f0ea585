"""Log iterations in MLflow: one run for each, sent after the answer by a separate process, so that a server that is
down, slow or refuses access delays no iteration. Only `sender` imports mlflow."""
