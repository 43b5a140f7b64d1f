"""What people read: text tables and figures, each a function of a result's tables only."""
