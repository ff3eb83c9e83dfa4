# SPDX-License-Identifier: Apache-2.0

"""What a policy keeps, by its words."""

import datetime
import os
import time as clock
from unittest import mock
import zoneinfo

from hypothesis import example
from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup.engine.survey import retention
from cinder_swift_backup.engine.survey.retention import Rule

_UTC = datetime.UTC
_DAY = datetime.timedelta(days=1)
_HOUR = datetime.timedelta(hours=1)
_ZONES = ('UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kathmandu',
          'Australia/Lord_Howe', 'Pacific/Apia')
# What restic's manual says of each rule: the newest of each such period.
_PERIODS = {
    'hourly': '%Y-%m-%d %H %z', 'daily': '%Y-%m-%d', 'weekly': '%G-%V',
    'monthly': '%Y-%m', 'yearly': '%Y'}


def _at(year, month, day, hour=0, minute=0, zone=_UTC):
    return datetime.datetime(year, month, day, hour, minute, tzinfo=zone)


def _reasons(policy, times, zone=_UTC, now=None, tags=None):
    return retention.reasons(
        policy, [retention.Dated(time, (tags or {}).get(time, {}))
                 for time in times], now or max(times), zone)


def _kept(policy, times, zone=_UTC, now=None, tags=None):
    """The times that stay, newest first."""
    found = _reasons(policy, times, zone, now, tags)
    return sorted((time for time, reasons in zip(times, found, strict=True)
                   if reasons), reverse=True)


class ExamplesTest(base.BaseTestCase):
    """What the manual of restic has."""

    def test_sundays(self):
        sundays = [_at(2026, 9, 6) + 7 * number * _DAY for number in range(12)]
        self.assertEqual({6}, {time.weekday() for time in sundays})
        self.assertEqual(sundays[:7:-1], _kept(
            retention.Policy(daily=4), sundays,
            # The next Friday.
            now=sundays[-1] + 5 * _DAY))

    def test_a_hundred_years(self):
        start = _at(1926, 11, 29)
        times = [start + number * _DAY for number in range(36524)]
        policy = retention.Policy(daily=7, weekly=5, monthly=12, yearly=75)
        newest = times[-1]
        # Of which month and year it is, the newest is the last day.
        self.assertEqual(
            sorted({*times[-7:],
                    *[time for time in times if time.weekday() == 6][-4:],
                    *[time for time in times
                      if (time + _DAY).day == 1 and time < newest][-11:],
                    *[time for time in times
                      if (time + _DAY).year > time.year][-74:]}, reverse=True),
            _kept(policy, times))
        rules = _reasons(policy, times)
        for rule, count in ((Rule.DAILY, 7), (Rule.WEEKLY, 5),
                            (Rule.MONTHLY, 12), (Rule.YEARLY, 75)):
            self.assertEqual(
                list(range(count, 0, -1)),
                [reason.number for reasons in rules for reason in reasons
                 if reason.rule is rule])

    def test_within(self):
        newest = _at(2026, 11, 30, 12)
        policy = retention.Policy(within=retention.Span(
            years=2, months=5, days=7, hours=3))
        # Two years, five months, seven days and three hours before.
        limit = _at(2024, 6, 23, 9)
        second = datetime.timedelta(seconds=1)
        self.assertEqual(
            [newest, limit + second],
            _kept(policy, [limit - second, limit, limit + second, newest],
                  # However late it is.
                  now=newest + 4000 * _DAY))

    def test_one_counts_for_several_rules(self):
        (found,) = _reasons(retention.Policy(daily=1, weekly=1, monthly=1),
                            [_at(2017, 9, 30)])
        self.assertEqual([Rule.DAILY, Rule.WEEKLY, Rule.MONTHLY],
                         [reason.rule for reason in found])

    def test_the_last_of_an_hour(self):
        times = [_at(2026, 11, 29, 10), _at(2026, 11, 29, 10, 5),
                 _at(2026, 11, 29, 11, 10), _at(2026, 11, 29, 11, 50)]
        self.assertEqual([times[3], times[1]],
                         _kept(retention.Policy(hourly=2), times))

    def test_too_few(self):
        times = [_at(2026, 11, 1), _at(2026, 11, 1, 5), _at(2026, 11, 9),
                 _at(2026, 11, 9, 5)]
        # The oldest one as well: there are not three days.
        found = _reasons(retention.Policy(daily=3), times)
        self.assertEqual([retention.Reason(Rule.DAILY, 3, is_oldest=True)],
                         list(found[0]))
        self.assertEqual([True, True, False, True], list(map(bool, found)))

    def test_unlimited(self):
        times = [_at(2026, 1, 1) + number * _HOUR for number in range(500)]
        self.assertEqual(len(times), len(_kept(retention.Policy(
            last=retention.UNLIMITED), times)))
        self.assertEqual(
            21 + 1, len(_kept(retention.Policy(
                daily=retention.UNLIMITED), times)))


class CalendarTest(base.BaseTestCase):
    """Days and hours that are not like others."""

    def test_a_nightly_backup_where_clocks_change(self):
        zone = zoneinfo.ZoneInfo('Europe/Berlin')
        times = [datetime.datetime(2026, 3, day, 1, tzinfo=zone)
                 .astimezone(_UTC) for day in range(25, 32)]
        policy = retention.Policy(daily=retention.UNLIMITED)
        # In UTC, two of these are of the same day.
        self.assertEqual(len(times) - 1, len(_kept(policy, times)))
        self.assertEqual(times[::-1], _kept(policy, times, zone))

    def test_an_hour_that_comes_twice(self):
        zone = zoneinfo.ZoneInfo('Europe/Berlin')
        first = _at(2026, 10, 25, 0, 30)
        times = [first, first + _HOUR]
        self.assertEqual({2}, {time.astimezone(zone).hour for time in times})
        self.assertEqual(times[::-1], _kept(retention.Policy(hourly=2),
                                            times, zone))

    def test_a_week_of_two_years(self):
        # Of one ISO week, and in three days.
        times = [_at(2024, 12, 30), _at(2024, 12, 31), _at(2025, 1, 1)]
        self.assertEqual([times[2], times[0]],
                         _kept(retention.Policy(weekly=9), times))
        self.assertEqual([times[2], times[1], times[0]],
                         _kept(retention.Policy(yearly=3), times))

    def test_a_leap_day(self):
        newest = _at(2028, 2, 29, 6)
        for span, limit in (
                (retention.Span(years=1), _at(2027, 2, 28, 6)),
                (retention.Span(years=4), _at(2024, 2, 29, 6)),
                (retention.Span(months=3), _at(2027, 11, 29, 6)),
                (retention.Span(days=1), _at(2028, 2, 28, 6)),
                (retention.Span(hours=24 * 29), _at(2028, 1, 31, 6))):
            self.assertEqual(limit, span.before(newest, _UTC))

    def test_the_time_of_day_is_that_of_then(self):
        # In Berlin, 02:00 is another hour of UTC in summer.
        zone = zoneinfo.ZoneInfo('Europe/Berlin')
        newest = _at(2026, 1, 15, 1)
        self.assertEqual(_at(2025, 7, 15, 0),
                         retention.Span(months=6).before(newest, zone))
        with mock.patch.dict(os.environ, TZ='Europe/Berlin'):
            clock.tzset()
            self.addCleanup(clock.tzset)
            self.assertEqual(_at(2025, 7, 15, 0),
                             retention.Span(months=6).before(newest))

    def test_the_last_of_a_month(self):
        self.assertEqual(_at(2026, 4, 30),
                         retention.Span(months=1).before(_at(2026, 5, 31),
                                                         _UTC))

    def test_before_the_calendar(self):
        for span in (retention.Span(years=9999), retention.Span(days=10**6),
                     retention.Span(hours=10**8), retention.Span(years=2025)):
            for zone in (None, *map(zoneinfo.ZoneInfo, _ZONES)):
                self.assertLess(span.before(_at(2026, 1, 2), zone),
                                _at(100, 1, 1))

    def test_a_host_whose_clock_was_wrong(self):
        now = _at(2026, 11, 30)
        policy = retention.Policy(within=retention.Span(days=7))
        times = [now - 30 * _DAY, now - 3 * _DAY, now + 3000 * _DAY]
        self.assertEqual([times[2], times[1]], _kept(policy, times, now=now))
        self.assertEqual(times[2:], _kept(policy, times[2:], now=now))


class TagsTest(base.BaseTestCase):
    """What has been given a name stays."""

    def test_tags(self):
        times = [_at(2026, 1, 1), _at(2026, 1, 2), _at(2026, 1, 3)]
        policy = retention.Policy(tags=(('keep', 'yes'), ('audit', '2026')))
        self.assertEqual(
            [times[1], times[0]],
            _kept(policy, times, tags={
                times[0]: {'audit': '2026', 'keep': 'no'},
                times[1]: {'keep': 'yes'}, times[2]: {'keep': '2026'}}))

    def test_empty(self):
        self.assertTrue(retention.Policy().is_empty)
        self.assertEqual([], _kept(retention.Policy(), [_at(2026, 1, 1)]))
        for policy in (retention.Policy(last=1), retention.Policy(yearly=1),
                       retention.Policy(tags=(('a', 'b'),)),
                       retention.Policy(within=retention.Span(hours=1))):
            self.assertFalse(policy.is_empty)

    def test_no_backups(self):
        self.assertEqual([], retention.reasons(
            retention.Policy(last=1, within=retention.Span(days=1)), [],
            _at(2026, 1, 1)))


_times = st.lists(st.datetimes(
    datetime.datetime(2023, 11, 1), datetime.datetime(2024, 4, 1),
    timezones=st.just(_UTC)), min_size=1, max_size=40)
_close = st.builds(
    lambda start, minutes: [start + datetime.timedelta(minutes=each)
                            for each in minutes],
    st.sampled_from([_at(2024, 2, 28), _at(2024, 3, 9), _at(2023, 12, 30),
                     _at(2024, 3, 30, 20), _at(2023, 10, 28, 20),
                     _at(2023, 11, 4, 22)]),
    st.lists(st.integers(0, 4 * 1440), min_size=1, max_size=40))


class WordsTest(base.BaseTestCase):
    """For any calendar, what stays is what the words say."""

    @given(_times | _close, st.sampled_from(_ZONES),
           st.sampled_from(sorted(_PERIODS)),
           st.integers(1, 12) | st.just(retention.UNLIMITED))
    @example([_at(2024, 2, 29), _at(2024, 2, 29, 1), _at(2024, 3, 1)],
             'UTC', 'monthly', 1)
    def test_periods(self, times, zone_name, rule, count):
        times = sorted(set(times))
        zone = zoneinfo.ZoneInfo(zone_name)
        newest = {}
        for time in times:
            newest[time.astimezone(zone).strftime(_PERIODS[rule])] = time
        expected = sorted(newest.values(), reverse=True)
        if len(expected) < count:
            expected = sorted({*expected, times[0]}, reverse=True)
        else:
            expected = expected[:int(count)]
        self.assertEqual(expected, _kept(
            retention.Policy(**{rule: count}), times, zone))

    @given(_times | _close, st.sampled_from(_ZONES), st.integers(0, 5),
           st.integers(0, 5), st.integers(0, 5), st.integers(0, 5),
           st.integers(1, 90))
    def test_together(self, times, zone_name, last, hourly, daily, monthly,
                      days):
        zone = zoneinfo.ZoneInfo(zone_name)
        span = retention.Span(days=days)
        alone = [retention.Policy(last=last), retention.Policy(hourly=hourly),
                 retention.Policy(daily=daily),
                 retention.Policy(monthly=monthly),
                 retention.Policy(within=span)]
        times = sorted(set(times))
        self.assertEqual(
            {time for policy in alone for time in _kept(policy, times, zone)},
            set(_kept(retention.Policy(last=last, hourly=hourly, daily=daily,
                                       monthly=monthly, within=span),
                      times, zone)))

    @given(_times | _close, st.sampled_from(_ZONES), st.integers(1, 5),
           st.integers(1, 5), st.data())
    def test_the_order_does_not_matter(self, times, zone_name, daily, weekly,
                                       data):
        times = list(set(times))
        mixed = data.draw(st.permutations(times))
        policy = retention.Policy(daily=daily, weekly=weekly)
        zone = zoneinfo.ZoneInfo(zone_name)
        self.assertEqual(_kept(policy, times, zone),
                         _kept(policy, mixed, zone))

    @given(_times | _close, st.integers(1, 5))
    def test_repeating_deletes_nothing_more(self, times, daily):
        policy = retention.Policy(daily=daily, monthly=daily)
        once = _kept(policy, sorted(set(times)))
        self.assertEqual(once, _kept(policy, once))

    @given(_times | _close, st.integers(1, 9))
    def test_the_newest_stays(self, times, count):
        for rule in ('last', *_PERIODS):
            self.assertEqual(max(times), _kept(
                retention.Policy(**{rule: count}), sorted(set(times)))[0])
