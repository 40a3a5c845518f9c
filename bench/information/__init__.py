"""Variables, reductions, estimates and the LayerTable. No module here imports an estimator."""
