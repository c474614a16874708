"""How payloads reach the bot: signed requests, or Socket Mode."""
