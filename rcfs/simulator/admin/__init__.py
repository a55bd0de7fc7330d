"""The interface with which tests and people control and inspect the simulator."""
