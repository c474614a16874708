"""What the environment says: settings, secrets, folders and limits of the process."""
