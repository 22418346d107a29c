"""What a model costs: products, bytes, receptive fields, memory; a table of rules by layer type beside the layers."""
