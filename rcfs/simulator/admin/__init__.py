"""What tests and people ask of the simulator itself."""
