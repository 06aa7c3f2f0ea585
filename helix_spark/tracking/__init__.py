"""Shows iterations in MLflow: one run each, sent behind the answer from a process of its own.

The engine knows only the Protocol `engine.tracker.Tracker`. `sender` alone imports mlflow, and it runs elsewhere: a
server that is down, slow or closed to us costs an iteration neither its answer nor its time.
"""
