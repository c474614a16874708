"""What people do in the workspace: type, click, fill in forms; and what they see of the bot's answer."""
