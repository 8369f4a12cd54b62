"""What a model is judged on: the tabletop world, and the paper's twelve public sets."""
