"""The tables of who people are, and of the tokens by which programs act as one. As in `tables`."""

from __future__ import annotations

import peewee as pw

from storage.columns import JsonText, Table, Text


class Workspace(Table):
    """The tenant that rows with its `workspace_id` belong to: one in each deployment, with the id 1."""

    id = pw.BigAutoField()
    slack_team = Text(null=True, unique=True)
    name = Text()
    created_at = pw.BigIntegerField()


class AccessPolicy(Table):
    """The access file of a workspace as it was last read without a fault; `digest` tells whether it is another one."""

    workspace_id = pw.BigIntegerField(primary_key=True)
    digest = Text()
    content = JsonText()
    loaded_at = pw.BigIntegerField()


class Person(Table):
    """What Slack last said of a user, and when; `standing` is as in `PersonRecord`."""

    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    user_id = Text()
    name = Text()
    email = Text(null=True)
    standing = Text()
    tz = Text(null=True)
    fetched_at = pw.BigIntegerField()


class PersonAddress(Table):
    """An e-mail address that an account has, or has had."""

    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    user_id = Text()
    email = Text()


class UserGroup(Table):
    """A Slack user group with the sorted ids of its `members`; all of a workspace are replaced together."""

    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    group_id = Text()
    handle = Text()
    members = JsonText()
    fetched_at = pw.BigIntegerField()


class Token(Table):
    """A token by which programs act as a person, as in `TokenRecord`; it stays when it is over."""

    id = Text(primary_key=True)
    workspace_id = pw.BigIntegerField()
    user_id = Text()
    name = Text()
    digest = Text(unique=True)
    scopes = JsonText()
    created_at = pw.BigIntegerField()
    created_by = Text()
    expires_at = pw.BigIntegerField()
    last_used_at = pw.BigIntegerField(null=True)
    revoked_at = pw.BigIntegerField(null=True)
    revoked_by = Text(null=True)


ALL: tuple[type[Table], ...] = (Workspace, AccessPolicy, Person, PersonAddress, UserGroup, Token)
