"""Stand-ins for the servers that the application speaks to."""
