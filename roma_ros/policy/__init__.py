"""When to speak and what to report: needs numpy alone."""
