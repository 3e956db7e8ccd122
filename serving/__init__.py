"""Serving the pushed models with TensorFlow Serving: what it runs with, its versions, and a client."""
