"""A generator of endless, exactly labelled streams of a tabletop, seen and heard."""
