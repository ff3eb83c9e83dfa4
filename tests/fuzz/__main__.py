# SPDX-License-Identifier: Apache-2.0

"""Fuzzes targets with atheris: ``tox -e fuzz -- [TARGET...] [--seconds N]``.

1. Run one process for each target, which counts what it reaches of the
   package.
2. Begin with the committed examples, and with what former runs have found in
   the working directory.
3. Where something comes out that must not, the input is in the working
   directory, its name begins with ``crash-``, and the end is an error. It
   belongs to the examples together with a fix.

What a long run has found is brought down to as few and small examples as reach
the same code by ``--merge``, which copies them to the committed ones.
"""

import argparse
import pathlib
import subprocess
import sys
import tracemalloc

import atheris

# What is imported here is counted; so nothing imports the package before.
with atheris.instrument_imports(include=['cinder_swift_backup']):
    from tests.fuzz import targets

# Bytes. Larger inputs reach nothing new, and take time.
_LONGEST = 8192
# MiB.
_MEMORY = 1024
# Seconds that one input may take.
_SLOW = 20
# What documents and answers consist of.
_WORDS = (
    'version', '1.0.0', 'backup_id', 'volume_id', 'objects', 'offset',
    'length', 'compression', 'md5', 'csb_stored_length', 'csb_stored_md5',
    'csb_volume_size', 'csb_parent', 'csb_mark', 'changes', 'parent_id',
    'volume_meta', 'chunk_size', 'sha256s', 'name', 'bytes', 'hash',
    'last_modified', 'policies', 'aliases', 'slo', 'swift', 'range', 'data',
    'sub_slo', 'volume-base-metadata', 'size', 'zlib', 'none')
_TOKENS = (
    '[', ']', '{', '}', '{}', '[]', ',', ':', 'null', 'true', '1e999', 'NaN',
    '-1', '9223372036854775807', '9223372036854775808', r'\ud800',
    r'\u0000', '[' * 500, '-00001', '_sha256file', '_metadata')


def main() -> int:
    """Run the targets that were asked for; 1 if one of them failed."""
    parser = argparse.ArgumentParser('tests.fuzz')
    parser.add_argument('targets', nargs='*', metavar='TARGET',
                        help=f'of {", ".join(targets.TARGETS)}; or all')
    parser.add_argument('--seconds', type=int, default=60,
                        help='for each target (default: %(default)s)')
    parser.add_argument('--directory', type=pathlib.Path,
                        default=pathlib.Path('.fuzz'),
                        help='for what is found (default: %(default)s)')
    parser.add_argument('--merge', action='store_true',
                        help='add what was found to the committed examples')
    parser.add_argument('--here', action='store_true',
                        help=argparse.SUPPRESS)
    options, others = parser.parse_known_args()
    if options.here:
        _run(options.targets[0], others or _arguments(options))
    unknown = [*others, *(set(options.targets) - set(targets.TARGETS))]
    if unknown:
        parser.error(f'there is no target {", ".join(unknown)}')
    failed = [target for target in options.targets or targets.TARGETS
              if not _succeeds(target, options)]
    if failed:
        print(f'Something was found: {", ".join(failed)}')
    return bool(failed)


def _succeeds(target: str, options: argparse.Namespace) -> bool:
    """Run a target in a process of its own, for it does not return."""
    print(f'=== {target}', flush=True)
    return subprocess.run([
        sys.executable, '-m', 'tests.fuzz', target, '--here',
        '--seconds', str(options.seconds),
        '--directory', str(options.directory),
        *(['--merge'] if options.merge else [])],
        check=False).returncode == 0


def _run(target: str, arguments: list[str]) -> None:
    # To start and stop it for each input leaks memory in some Pythons.
    tracemalloc.start()
    # To merge, libFuzzer has a shell run this again, with other arguments.
    command = f'{sys.executable} -m tests.fuzz {target} --here'
    atheris.Setup([command, *arguments], targets.TARGETS[target])
    atheris.Fuzz()


def _arguments(options: argparse.Namespace) -> list[str]:
    """What libFuzzer is to do."""
    target, = options.targets
    found = options.directory / target
    found.mkdir(parents=True, exist_ok=True)
    words = options.directory / 'words.txt'
    words.write_text(''.join(
        f'"{_escaped(word)}"\n'
        for word in (*_WORDS, *(f'"{word}"' for word in _WORDS), *_TOKENS)))
    examples = targets.examples(target)
    directories = ([examples, found] if options.merge
                   else [found, examples])
    return [
        f'-max_total_time={options.seconds}', f'-max_len={_LONGEST}',
        f'-rss_limit_mb={_MEMORY}', f'-timeout={_SLOW}', f'-dict={words}',
        '-print_final_stats=1', f'-artifact_prefix={found}/',
        f'-merge={int(options.merge)}', *map(str, directories)]


def _escaped(word: str) -> str:
    return ''.join(f'\\x{each:02x}' for each in word.encode())


if __name__ == '__main__':
    sys.exit(main())
