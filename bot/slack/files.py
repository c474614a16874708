"""Files shared in a thread: what is too long for a message, or is a picture."""

from __future__ import annotations

from slack_sdk import WebClient


def upload(
    client: WebClient, channel: str, thread_ts: str | None, filename: str, title: str, data: bytes, alt_text: str = ""
) -> None:
    """Share `data`, which must not be empty, in a thread, or with `thread_ts` None in the channel itself.

    `alt_text` is what screen readers say of a picture. Raises as every call to Slack does (`directory.SLACK_TROUBLE`).
    """
    client.files_upload_v2(
        channel=channel,
        thread_ts=thread_ts,
        filename=filename,
        title=title,
        content=data,
        alt_txt=alt_text[:1000] or None,
    )
