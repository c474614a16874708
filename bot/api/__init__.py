"""The REST API; `PREFIX` is its path on the web server. Known without importing what serves it."""

PREFIX = "/api/v1"
