"""What is measured: one concept a module, each with its source; needs numpy alone."""
