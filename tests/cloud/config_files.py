# SPDX-License-Identifier: Apache-2.0

"""Write the INI files that all the services are configured with."""

from collections.abc import Mapping
import pathlib

Section = Mapping[str, object]


def write(path: pathlib.Path, sections: Mapping[str, Section]) -> None:
    """Write sections of options to a file that only we can read.

    :param path: the file; it is replaced if it exists
    :param sections: options by section; values are written as their
        ``str``, so that ``True`` and numbers can be given as they are
    """
    lines = []
    for name, options in sections.items():
        lines.append(f'[{name}]')
        lines += [f'{key} = {value}' for key, value in options.items()]
        lines.append('')
    path.touch(mode=0o600)
    path.write_text('\n'.join(lines), encoding='utf-8')
