"""netsim predicts the end-to-end speedup of gradient compression on a simulated cluster."""
