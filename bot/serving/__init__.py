"""The web server: whole requests only, in bounded time and memory, whoever is slow or comes in crowds."""
