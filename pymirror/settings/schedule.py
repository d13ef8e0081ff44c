"""cron and systemd: the mirror is refreshed each night, and what left its pages is deleted a day later.

``prune`` runs whether or not ``sync`` found everything: what it deletes depends on the pages alone.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from pymirror.errors import UsageError
from pymirror.settings.place import refuse

_GRACE = "1 day"
_MAX_CRON_CHARACTERS = 998
_PLAIN = re.compile(r"[A-Za-z0-9_./+@:,=-]+")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def make_cron(command: Sequence[str], spec: str) -> str:
    """A line for ``crontab -e``; ``command`` starts pymirror. Raises :class:`UsageError`.

    A percent sign is a line break to cron, except after a backslash; what cron makes of other backslashes differs.
    """
    words = [refuse(word, "\\", syntax="cron") for word in (*command, spec)]
    *program, last = [shlex.quote(word).replace("%", r"\%") for word in words]
    start = " ".join(program)
    line = f'17 3 * * *  {start} sync -q {last}; {start} prune -q --grace "{_GRACE}" {last}'
    if len(line) > _MAX_CRON_CHARACTERS:
        raise UsageError("the paths are too long for cron", hint="use `pymirror config systemd`")
    return f"{_CRON}{line}\n"


_CRON = """\
# For `crontab -e`, as the user whom the tree belongs to. -q tells only of what went wrong, so that cron sends mail
# only then. prune runs also where sync could not have everything: that does not matter to it.
"""


def make_systemd(command: Sequence[str], spec: str, folder: str, user: str) -> str:
    """A service and its timer, each below the path where it belongs. Raises :class:`UsageError`."""
    program, *arguments = command
    refuse(program, "$'", syntax="systemd")  # it undoes no "$$" there, and takes no quote in the name of a program
    if not _USER.fullmatch(user):
        raise UsageError(f'"{user}" is no user name for systemd')
    start = " ".join([_quote(program), *(_quote(word).replace("$", "$$") for word in arguments)])
    return _SYSTEMD % {
        "start": start,
        "spec": _quote(spec).replace("$", "$$"),
        "folder": _quote(folder),
        "user": user,
        "grace": _GRACE,
    }


def _quote(word: str) -> str:
    """``word`` with its percent signs, which begin specifiers, doubled; the settings disagree on backslashes."""
    word = refuse(word, '\\"', syntax="systemd").replace("%", "%%")
    return word if _PLAIN.fullmatch(word) else f'"{word}"'


_SYSTEMD = """\
# Two files, each below its path; for more than one mirror give them other names. Then:
#   systemctl daemon-reload && systemctl enable --now pymirror.timer
# `systemctl start pymirror` refreshes now, `journalctl -u pymirror` tells what was done.

# ── /etc/systemd/system/pymirror.service ──
[Unit]
Description=Refresh of the Python package mirror
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
# Whom the tree belongs to; the home of this user is where netrc and pip's settings are read.
User=%(user)s
ExecStart=%(start)s sync %(spec)s
# Runs also where sync failed: what could not be had does not matter to it.
ExecStopPost=%(start)s prune --grace "%(grace)s" %(spec)s
TimeoutStopSec=1h
# A run that was stopped left the mirror whole. Every other code but 0 fails the unit, so that `systemctl --failed` and
# OnFailure= tell: 1 means that something wanted is missing, while all else is published.
SuccessExitStatus=143
Nice=10

# Nothing can be written but the tree, which must be there before the first run: mkdir it.
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths=%(folder)s
PrivateTmp=yes
PrivateDevices=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
UMask=0022

# ── /etc/systemd/system/pymirror.timer ──
[Unit]
Description=Refresh of the Python package mirror, each night

[Timer]
OnCalendar=*-*-* 03:17:00
# Not all mirrors at once; and a night that the machine was off is made up for.
RandomizedDelaySec=1h
Persistent=yes

[Install]
WantedBy=timers.target
"""
