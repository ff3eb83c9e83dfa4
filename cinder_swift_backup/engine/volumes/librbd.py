# SPDX-License-Identifier: Apache-2.0

"""Which release of librbd this process has loaded.

Its Python binding tells the version of an interface that hardly ever changes.
The release is in the library that all of Ceph's share, as a C++ function
without arguments (``ceph_version_to_str`` of Ceph's ``common/version.h``).
"""

import ctypes
import functools
import os
import pathlib
import re

_MAPS = pathlib.Path('/proc/self/maps')
_LIBRARY = re.compile(r'/libceph-common\.so\.\d+')
_SYMBOL = '_Z19ceph_version_to_strv'
_RELEASE = re.compile(rb'(\d+)\.(\d+)\.(\d+)')
# Of older ones, some leave out what a clone has of its origin when they are
# asked for whole objects: Ceph's issues 42248 (before 13.2.9 and 14.2.8) and
# 53787 (16.2.7).
_FIRST_RIGHT = (16, 2, 8)


@functools.cache
def release() -> tuple[int, ...] | None:
    """The release, such as (16, 2, 15); None if it cannot be known."""
    match = _LIBRARY.search(_MAPS.read_text(errors='backslashreplace'))
    if match is None:
        return None
    try:
        function = getattr(
            # By its name alone, the one that is loaded is found even if its
            # file was replaced meanwhile.
            ctypes.CDLL(match[0].removeprefix('/'),
                        os.RTLD_NOLOAD | os.RTLD_LAZY), _SYMBOL)
    except (OSError, AttributeError):
        return None
    function.restype = ctypes.c_char_p
    numbers = _RELEASE.match(function() or b'')
    return None if numbers is None else tuple(map(int, numbers.groups()))


def leaves_out_origins() -> bool:
    """Whether it is known not to tell of what a clone has of its origin."""
    number = release()
    return number is not None and number < _FIRST_RIGHT
