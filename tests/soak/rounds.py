# SPDX-License-Identifier: Apache-2.0

"""The work of weeks, and what the process holds in the course of it.

1. Rounds, one after the other: backup, incremental, restore of the
   incremental, delete of both.
2. Crowds: 8 backups and 4 restores at once, and then restores and deletes of
   everything at once, as the threads of cinder-backup do.
3. After each of them take a sample, and see that no object is left.
4. Judge the samples. What there is of threads, descriptors and connections
   after a crowd is compared with what there was before the first.
"""

from concurrent import futures
import itertools

from tests.soak import gauges
from tests.soak import judgement
from tests.soak import service as soak_service

BACKUPS, RESTORES = 8, 4
# Rounds from one line of the table to the next.
_LINES = 10


class Soak:
    """Both, with volumes of so many MiB."""

    def __init__(self, service: soak_service.Service, mib: int) -> None:
        self._service = service
        self._volumes = [service.make_volume(mib)
                         for _ in range(BACKUPS + RESTORES)]
        self._samples: list[judgement.Sample] = []

    def run(self, rounds: int, crowds: int) -> list[str]:
        """Do it all; returns what has grown."""
        _print('', ('resident, MiB', 'used, MiB', 'blocks',
                    *judgement.COUNTS))
        single = [self._sampled(number, self._round, f'round {number}',
                                number % _LINES == 0 or number == rounds)
                  for number in range(1, rounds + 1)]
        found = judgement.growth(single)
        crowded = [self._sampled(number, self._crowd, f'crowd {number}', True)
                   for number in range(1, crowds + 1)]
        found += judgement.more(single[-1:], crowded)
        if len(crowded) >= judgement.FEWEST:
            found += judgement.growth(crowded)
        return found

    def _sampled(self, number, work, name, told):
        self._service.begin(number)
        work()
        if left := self._service.objects():
            raise SystemExit(f'{name} has left {left} objects')
        sample = gauges.sample()
        if told:
            _print(name, (
                f'{sample.resident / judgement.MIB:.1f}',
                f'{sample.used / judgement.MIB:.1f}', sample.blocks,
                *(getattr(sample, count) for count in judgement.COUNTS)))
        return sample

    def _round(self):
        volume = self._volumes[0]
        volume.change()
        full = self._service.back_up(volume)
        volume.change()
        incremental = self._service.back_up(volume, full)
        self._service.check(incremental, volume)
        self._service.delete(incremental)
        self._service.delete(full)

    def _crowd(self):
        old, new = self._volumes[:RESTORES], self._volumes[RESTORES:]
        for volume in self._volumes:
            volume.change()
        with futures.ThreadPoolExecutor(BACKUPS + RESTORES) as executor:
            submit = executor.submit
            made = _all(submit(self._service.back_up, each) for each in old)
            working = [submit(self._service.back_up, each) for each in new]
            restoring = [submit(self._service.check, *each)
                         for each in zip(made, old, strict=True)]
            _all(restoring)
            made_at_once = _all(working)
            _all(submit(self._service.check, *each)
                 for each in zip(made_at_once, new, strict=True))
            _all(submit(self._service.delete, each)
                 for each in itertools.chain(made, made_at_once))


def _print(name, values):
    """A line of the table."""
    print(f'{name:10}' + ''.join(f'{value:>14}' for value in values),
          flush=True)


def _all(working):
    """The results of all that was submitted."""
    return [each.result() for each in list(working)]
