"""What people type, turned into calls of commands/: the tasks of a day's work, and Docker Compose's words."""
