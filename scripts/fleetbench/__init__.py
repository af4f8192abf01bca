"""What scripts/bench is made of: brokers side by side, the load generator, and the table of aims."""
