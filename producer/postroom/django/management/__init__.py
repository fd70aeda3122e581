"""Where Django looks for management commands. Holds nothing but the folder of that name; Django imports it."""
