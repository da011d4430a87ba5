"""The second floor: everything that waits (``runtime``), and the decisions it waits for (``control``)."""
