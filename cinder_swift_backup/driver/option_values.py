# SPDX-License-Identifier: Apache-2.0

"""Reads options, and finds out what is wrong with them in a file.

oslo.config converts a value when it is read, and words its errors for
programmers. So:

1. Read an option by its name.
2. If it does not have a value of its type, look up what the files say, and
   tell that, and what would be right.

A name that is no option at all, oslo.config passes over. So the files are also
searched for names that were meant to be options of ours.
"""

import dataclasses
import difflib
import glob
import os
import re

from oslo_config import cfg
from oslo_config import types

from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import options

CONF = cfg.CONF
_PREFIX = 'backup_swift_'
# How much a name is like that of an option, of 1: what follows the prefix that
# both have, and any name, which may be an option of another service.
_ALIKE = 0.6
_MUCH_ALIKE = 0.9
# How oslo.config says in which file an option stands.
_LOCATION = re.compile(r" from LocationInfo\(.*?detail='(.*?)'\)")


@dataclasses.dataclass(frozen=True, slots=True)
class Unknown:
    """A name that is no option, the files it is in, and the option it is like.

    ``like`` is empty if there is none.
    """

    name: str
    files: tuple[str, ...]
    like: str

    @property
    def problem(self):
        """What is wrong with it, and what to do."""
        return ('Unknown option. '
                + (f'Did you mean {self.like}?' if self.like else
                   'Remove it.'))


def read(name):
    """The value of an option.

    :raises ConfigurationError: when it is not of the option's type
    """
    try:
        return getattr(CONF, name)
    except (cfg.NoSuchOptError, cfg.TemplateSubstitutionError) as err:
        # In its value, behind a "$".
        raise _wrong(name, 'refers to an option that does not exist') from err
    except ValueError as err:
        option = _options()[name]
        raise _wrong(name, f'has to be {_wanted(option.type)}') from err


def plain(err):
    """The text of an error of oslo.config, in one line and without types."""
    text = ' '.join(str(err).split())
    return _LOCATION.sub(r' in \1', text).rstrip('.')


def check_all():
    """Names and errors of all options whose values are not of their type."""
    for name in sorted(_options()):
        try:
            read(name)
        except exceptions.ConfigurationError as err:
            yield name, err


def directories():
    """The directories that files are read from."""
    # The latter has those that are found, and no more than one that is named.
    return [os.path.expanduser(path)
            for path in CONF.config_dirs or CONF.config_dir]


def files():
    """The files that are read, in their order: what comes later overrides."""
    for path in CONF.config_file:
        yield os.path.expanduser(path)
    for directory in directories():
        yield from sorted(glob.glob(os.path.join(directory, '*.conf')))


def unknown():
    """The names in the section DEFAULT that were meant to be options."""
    known = {name for option in _options().values()
             for name in _names(option)}
    for name, places in sorted(_given().items()):
        if name in known or name in CONF:
            continue
        like = _like(name, sorted(known))
        if like or name.startswith(_PREFIX):
            yield Unknown(name, tuple(path for path, _ in places), like)


def _like(name, known):
    """The option that a name is like, or nothing."""
    if name.startswith(_PREFIX):
        ends = [one.removeprefix(_PREFIX) for one in known
                if one.startswith(_PREFIX)]
        for end in difflib.get_close_matches(name.removeprefix(_PREFIX), ends,
                                             1, _ALIKE):
            return f'{_PREFIX}{end}'
    word = name.partition('_')[2].partition('_')[0]
    if name.startswith('backup_') and not difflib.get_close_matches(
            word, ['swift'], 1, _ALIKE):
        # Other drivers have options that are called much alike.
        known = [one for one in known if not one.startswith(_PREFIX)]
    return next(iter(difflib.get_close_matches(name, known, 1, _MUCH_ALIKE)),
                '')


def _given():
    """What stands in the section DEFAULT: by name, files and values."""
    given = {}
    for path in files():
        sections = {}
        cfg.ConfigParser(path, sections).parse()
        for name, values in sections.get('DEFAULT', {}).items():
            given.setdefault(name, []).append((path, values[-1]))
    return given


def _options():
    """All options that the driver reads, by name."""
    return {option.dest: option for option in options.all_opts()}


def _names(option):
    """The name of an option, and its old ones."""
    return (option.dest, *(old.name.replace('-', '_')
                           for old in option.deprecated_opts if old.name))


def _wrong(name, what):
    """The error for an option that has to be another."""
    try:
        given = _given()
    except (cfg.Error, OSError):
        # The file has changed since it was read.
        given = {}
    option = _options()[name]
    places = [place for spelling in reversed(_names(option))
              for place in given.get(spelling, ())]
    if option.secret or not places:
        return exceptions.ConfigurationError(f'{name} {what}')
    path, value = places[-1]
    return exceptions.ConfigurationError(f'{name} is {value!r}: it {what}',
                                         detail=f'in {path}')


def _wanted(kind):
    """What a value of a type is, in words."""
    if getattr(kind, 'choices', None):
        return f'one of {", ".join(map(str, kind.choices))}'
    if isinstance(kind, types.Integer):
        least = '' if kind.min is None else f' of at least {kind.min}'
        return f'a whole number{least}'
    if isinstance(kind, types.Boolean):
        return 'true or false'
    if isinstance(kind, types.URI):
        return 'a URL that begins with http:// or https://'
    return kind.type_name
