# SPDX-License-Identifier: Apache-2.0

"""Moves the clock of this process, see ``tests.cloud.moved_clock``.

Python imports it before anything else. So whoever takes the time from the
modules ``time`` and ``datetime`` gets the moved one.
"""

import datetime
import functools
import os
import time

_FILE = os.environ.get('CSB_CLOCK')
# Seconds for which to believe what was read.
_BELIEF = 0.2
_time, _time_ns = time.time, time.time_ns
_gmtime, _localtime, _strftime = time.gmtime, time.localtime, time.strftime
_datetime = datetime.datetime


class _Ahead:
    """How far the clock is ahead, in seconds."""

    def __init__(self):
        self._read = -_BELIEF
        self._seconds = 0.0

    def __call__(self):
        now = time.monotonic()
        if now - self._read >= _BELIEF:
            with open(_FILE, encoding='ascii') as file:
                self._seconds = float(file.read())
            self._read = now
        return self._seconds


_ahead = _Ahead()


class _Kind(type):
    """What C makes is one, too."""

    def __instancecheck__(cls, thing):
        return isinstance(thing, _datetime)

    def __subclasscheck__(cls, kind):
        return issubclass(kind, _datetime)


class _Moved(_datetime, metaclass=_Kind):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)

    @classmethod
    def utcnow(cls):
        return cls.fromtimestamp(time.time(), datetime.UTC).replace(
            tzinfo=None)

    @classmethod
    def today(cls):
        return cls.now()


def _by(convert, seconds=None):
    return convert(time.time() if seconds is None else seconds)


def _formatted(form, when=None):
    return _strftime(form, time.localtime() if when is None else when)


if _FILE is not None:
    # Unlike a function, a partial does not become a method, where logging has
    # one as an attribute of a class.
    time.time = functools.partial(lambda: _time() + _ahead())
    time.time_ns = functools.partial(
        lambda: _time_ns() + int(_ahead() * 1e9))
    time.gmtime = functools.partial(_by, _gmtime)
    time.localtime = functools.partial(_by, _localtime)
    time.strftime = functools.partial(_formatted)
    datetime.datetime = _Moved
