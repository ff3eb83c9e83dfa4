# SPDX-License-Identifier: Apache-2.0

"""Takes the pictures of terminals in the documentation.

1. Start a cloud, and make a full and an incremental backup as the demo does.
2. Run each command on a terminal of its own, which pyte plays.
3. Draw what is on its screen as SVG, by rich: at the end, and for a restore
   also half way, when the bar can be seen.

``tox -e terminals`` writes the pictures that are in the documentation.
"""

from collections.abc import Sequence
import contextlib
import dataclasses
import fcntl
import io
import os
import pathlib
import re
import shlex
import struct
import subprocess
import sys
import termios
import time

import pyte
from rich import console as rich_console
from rich import text as rich_text

from tests.cloud import demo
from tests.cloud import processes
from tests.cloud.cloud import Cloud
from tests.cloud.demo_user import DemoUser
from tests.cloud.demo_user import OURS

WIDTH = 118
HEIGHT = 200
_COLOURS = {'brown': 'yellow', 'default': None}


@dataclasses.dataclass(frozen=True)
class Frame:
    """What was on the screen, and when in seconds."""

    when: float
    lines: tuple[rich_text.Text, ...]


def main() -> int:
    """Take all pictures."""
    directory = pathlib.Path(sys.argv[1])
    directory.mkdir(exist_ok=True)
    with Cloud() as cloud:
        with contextlib.closing(DemoUser(cloud.info)) as user:
            _, (_, tip, _) = demo.make_backups(user)
        environment = processes.environment(
            {**cloud.info.os_environment(cloud.info.demo), 'TERM': 'xterm'}
        )
        columns = ('Backup', 'Created', 'Size', 'Stored', 'Kind', 'State')
        pictures = {
            'list': [
                'list', *(part for name in columns for part in ('-c', name))
            ],
            'show': ['show', tip],
            'verify': ['verify', '--all', '--deep'],
            'restore': ['restore', tip[:8], 'volume.raw'],
        }
        for name, arguments in pictures.items():
            frames = _play(
                [OURS, *arguments], environment, cloud.info_file.parent
            )
            _draw(directory / f'{name}.svg', frames[-1])
            if name == 'restore':
                _draw(directory / 'restoring.svg', _half_way(frames))
    return 0


def _play(
    command: Sequence[str],
    environment: dict[str, str],
    directory: pathlib.Path,
) -> list[Frame]:
    """Run a command on a terminal; return what was to be seen."""
    ours, theirs = os.openpty()
    fcntl.ioctl(
        theirs, termios.TIOCSWINSZ, struct.pack('HHHH', HEIGHT, WIDTH, 0, 0)
    )
    screen = pyte.Screen(WIDTH, HEIGHT)
    stream = pyte.ByteStream(screen)
    stream.feed(f'$ {shlex.join(command)}\r\n'.encode())
    program = processes.find_command(command[0], OURS)
    started = time.monotonic()
    with subprocess.Popen(
        [program, *command[1:]],
        env=environment,
        cwd=directory,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        frames = []
        while data := _read(ours):
            stream.feed(data)
            frames.append(Frame(time.monotonic() - started, _lines(screen)))
        os.close(ours)
    if process.returncode:
        raise SystemExit(f'{shlex.join(command)} failed')
    return frames


def _read(fd: int) -> bytes:
    """Read; nothing is left when the other end is closed."""
    try:
        return os.read(fd, 1 << 16)
    except OSError:
        return b''


def _half_way(frames: list[Frame]) -> Frame:
    """Return the picture of a bar that is neither empty nor full."""
    bars = [
        frame
        for frame in frames
        if any('/s' in str(line) for line in frame.lines)
    ]
    return bars[len(bars) // 2]


def _lines(screen: pyte.Screen) -> tuple[rich_text.Text, ...]:
    """Return the screen without what is empty below."""
    lines = [_line(screen, number) for number in range(screen.lines)]
    while lines and not str(lines[-1]).strip():
        lines.pop()
    return tuple(lines)


def _line(screen: pyte.Screen, number: int) -> rich_text.Text:
    line = rich_text.Text()
    for column in range(screen.columns):
        char = screen.buffer[number][column]
        line.append(char.data, style=_style(char))
    line.rstrip()
    return line


def _style(char: pyte.screens.Char) -> str:
    colour = _COLOURS.get(char.fg, char.fg)
    if colour and colour not in ('red', 'green', 'blue', 'yellow', 'cyan',
                                 'magenta', 'white', 'black'):
        colour = f'#{colour}' if len(colour) == 6 else None
    words = ['bold'] if char.bold else []
    return ' '.join([*words, *([colour] if colour else [])])


def _draw(path: pathlib.Path, frame: Frame) -> None:
    """Write a picture."""
    console = rich_console.Console(
        record=True, width=WIDTH, file=io.StringIO(), force_terminal=True
    )
    for line in frame.lines:
        console.print(line, soft_wrap=True)
    picture = console.export_svg(title=OURS)
    # It would fetch a font from elsewhere.
    picture = re.sub(r'@font-face \{.*?\}', '', picture, flags=re.DOTALL)
    path.write_text(
        picture.replace('Fira Code, monospace', 'monospace')
        .replace('Fira Code', 'monospace')
    )
    print(path)


if __name__ == '__main__':
    sys.exit(main())
