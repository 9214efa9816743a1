"""Docker Compose and this project compared."""
