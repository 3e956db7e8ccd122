"""The pipeline on Kubeflow Pipelines."""
