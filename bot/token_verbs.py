"""`runbook token`: whoever holds the database makes, lists and ends anybody's tokens."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime

from bot.cli import show
from engine import boot
from engine.access import tokens
from engine.access.policy import SYSTEM
from engine.config.settings import Settings
from engine.errors import EngineError, InvalidParameters
from engine.text.visible_characters import visible_line
from storage.people_records import TokenRecord


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `runbook token`."""
    what = parser.add_subparsers(title="what to do", required=True, metavar="create|list|revoke", dest="what")
    create = what.add_parser("create", help="make a token and print its secret, once")
    create.add_argument("person", help="the Slack user id that it acts as, such as U0ALICE01")
    create.add_argument("name", help="what it is for")
    create.add_argument("--scopes", default="", help="read, run, approve, admin, with commas between; read,run")
    create.add_argument("--expires", default="", help="how long it lasts, such as 12h or 30d; 90d")
    what.add_parser("list", help="all tokens, without their secrets")
    what.add_parser("revoke", help="end a token at once").add_argument("id", help="its id, such as T-7K2M9QXY")


def run(settings: Settings, chosen: argparse.Namespace) -> int:
    """Do it and return the exit code: 0 done, 2 wrong usage, 3 refused. The secret alone goes to standard output."""
    rt = boot.open_engine(settings)
    try:
        if chosen.what == "create":
            made, secret = tokens.create(
                rt, SYSTEM, chosen.name, scopes=chosen.scopes, expires=chosen.expires, person=chosen.person
            )
            print(f"{_line(made)}\nIt is shown this once; whoever has it acts as {made.user_id}:", file=sys.stderr)
            print(secret)
        elif chosen.what == "revoke":
            print(_line(tokens.revoke(rt, SYSTEM, chosen.id)))
        else:
            for each in tokens.listing(rt, SYSTEM, everybody=True):
                print(_line(each))
    except InvalidParameters as error:
        print(show.said(*(f"{name}: {why}" for name, why in error.fields.items())), file=sys.stderr)
        return 2
    except EngineError as error:
        print(show.said(str(error)), file=sys.stderr)
        return 3
    return 0


def _line(token: TokenRecord) -> str:
    state = "revoked" if token.revoked_at else f"until {_day(token.expires_at)}"
    used = f"last used {_day(token.last_used_at)}" if token.last_used_at else "never used"
    return visible_line(f"{token.id}  {token.user_id}  {','.join(sorted(token.scopes))}  {state}  {used}  {token.name}")


def _day(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%MZ")
