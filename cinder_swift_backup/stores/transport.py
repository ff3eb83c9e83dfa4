# SPDX-License-Identifier: Apache-2.0

"""How requests are sent, and how long they are repeated."""

import dataclasses

from cinder_swift_backup.stores import bandwidth as bandwidth_

# Seconds: the longest that a working Swift is silent. Its rate limiting has a
# request wait for up to 60, and a proxy tries one replica after the other.
_LONGEST_SILENCE = 120.0
# Seconds: below that, a proxy that is merely busy would be given up.
_SHORTEST_SILENCE = 10.0
# Seconds: a working identity service is never silent for longer.
_LONGEST_LOGIN = 60.0

# Seconds between two attempts, that a store that works again is soon used.
_LONGEST_WAIT = 30.0
# Without patience, where few attempts have to last for long.
_LONGEST_WAIT_OF_FEW = 64.0


@dataclasses.dataclass(frozen=True, slots=True)
class Transport:
    """How to send requests, and how long to repeat them.

    ``retries`` is the number of repetitions after the first attempt, for
    answers that are errors; ``backoff`` is the first wait in seconds, which
    then doubles each time. ``patience`` is for how many seconds requests are
    repeated while there is no Swift that works; with 0, ``retries`` limits
    these, too. ``bandwidth`` is shared by all who have it.
    """

    ca_file: str | None = None
    insecure: bool = False
    retries: int = 3
    backoff: float = 2
    patience: float = 0
    bandwidth: bandwidth_.Bandwidth = bandwidth_.UNLIMITED

    @property
    def timeout(self) -> float:
        """How many seconds Swift may be silent before a request fails.

        So that several attempts fit into the patience.
        """
        if not self.patience:
            return _LONGEST_SILENCE
        return max(_SHORTEST_SILENCE,
                   min(_LONGEST_SILENCE, self.patience / 4))

    @property
    def login_timeout(self) -> float:
        """How many seconds the identity service may be silent."""
        return min(_LONGEST_LOGIN, self.timeout)

    @property
    def longest_wait(self) -> float:
        """Seconds between two attempts at most."""
        if not self.patience:
            return _LONGEST_WAIT_OF_FEW
        return min(_LONGEST_WAIT, self.patience / 4)
