"""The local stack: installs its parts, runs an instance of it. Standard library only."""
