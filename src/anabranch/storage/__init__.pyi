from .weights import load_weights as load_weights, save_weights as save_weights, weight_paths as weight_paths
