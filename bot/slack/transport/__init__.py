"""How payloads come in from Slack, over HTTP or a socket, and what answers them first."""
