# One image for every process: `runbook up` by default; `runbook web`, `runbook worker` or `runbook migrate` by name.
FROM python:3.12-slim

RUN useradd --create-home --home-dir /bot --uid 10001 runbook

WORKDIR /bot
COPY requirements.lock /src/
RUN pip install --no-cache-dir --require-hashes -r /src/requirements.lock
COPY pyproject.toml README.md LICENSE /src/
COPY storage /src/storage
COPY engine /src/engine
COPY bot /src/bot
RUN pip install --no-cache-dir --no-deps --no-build-isolation /src
COPY --chown=runbook runbooks.d runbooks.d

# `var` holds the SQLite database and the made SECRET_KEY: keep it on a volume, or set both from outside.
RUN mkdir --mode=700 var && chown runbook:runbook . var
USER runbook
ENV HOST=0.0.0.0 PYTHONUNBUFFERED=1
EXPOSE 3000
VOLUME /bot/var
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s CMD ["python", "-c", \
    "import os, urllib.request; urllib.request.urlopen(f\"http://127.0.0.1:{os.environ.get('PORT', '3000')}/livez\", timeout=4)"]
CMD ["runbook", "up"]
