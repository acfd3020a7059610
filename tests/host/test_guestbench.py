# SPDX-License-Identifier: BSD-2-Clause
"""What scripts/bench-guest does with its figures, without a guest: statistics, the choice of guests, command lines, and
the lines of guest.jsonl."""
import itertools
import pathlib
import statistics
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / 'scripts'))

from guestbench import counters, guest, monitors, plan, plot, report, session, stats, summary  # noqa: E402

STRICT = plan.Config('viommu', 'inprocess', 'virtio', 'strict')


class Statistics(unittest.TestCase):
    def test_coverage_is_that_of_all_ways_to_fall_beside_the_median(self):
        for count in range(1, 12):
            for rank in range(1, count // 2 + 1):
                below = [sum(sides) for sides in itertools.product((0, 1), repeat=count)]
                inside = sum(rank <= number <= count - rank for number in below) / 2 ** count
                self.assertAlmostEqual(stats.coverage(count, rank), inside)

    def test_ranks_are_those_of_tables(self):
        known = {1: 1, 5: 1, 6: 1, 8: 1, 9: 2, 11: 2, 12: 3, 15: 4, 17: 5, 20: 6, 25: 8}
        self.assertEqual({count: stats.bound_rank(count) for count in known}, known)

    def test_bounds_have_the_confidence_or_are_the_extremes(self):
        for count in range(1, 60):
            found = stats.estimate(range(count))
            if count < 6:
                self.assertEqual((found.low, found.high), (0, count - 1))
                self.assertLess(found.confidence, stats.CONFIDENCE)
            else:
                self.assertGreaterEqual(found.confidence, stats.CONFIDENCE)
                self.assertLess(stats.coverage(count, int(found.low) + 2), stats.CONFIDENCE)

    def test_an_outlier_moves_neither_median_nor_bounds_of_nine(self):
        usual = stats.estimate([1, 2, 3, 4, 5, 6, 7, 8, 9])
        spoilt = stats.estimate([9000, 8, 7, 6, 5, 4, 3, 2, 1])
        self.assertEqual((usual.median, usual.low, usual.high), (5, 2, 8))
        self.assertEqual(usual, spoilt)

    def test_median_of_an_even_count_lies_between_the_middle_two(self):
        self.assertEqual(stats.estimate([4, 1, 2, 3]).median, 2.5)

    def test_ratios_pair_the_rounds_that_both_have(self):
        self.assertEqual(stats.paired_ratios({0: 1, 1: 9, 2: 6, 4: 5}, {0: 2, 2: 3, 3: 7, 4: 0}), [0.5, 2])

    def test_a_speed_that_changes_from_round_to_round_leaves_the_ratio(self):
        speeds = [1, 5, 2, 9, 3, 7, 4, 8, 6]
        found = stats.estimate(stats.paired_ratios({i: 0.7 * s for i, s in enumerate(speeds)},
                                                   dict(enumerate(speeds))))
        self.assertAlmostEqual(found.low, 0.7)
        self.assertAlmostEqual(found.high, 0.7)


class Plan(unittest.TestCase):
    def test_a_pattern_brings_the_guest_without_iommu_along(self):
        chosen = plan.choose(plan.all_configs(), ['viommu:inprocess:virtio:strict'])
        self.assertEqual(set(chosen), {STRICT, STRICT.baseline()})

    def test_patterns_may_end_early_and_have_stars(self):
        self.assertTrue(plan.matches(STRICT, 'viommu'))
        self.assertTrue(plan.matches(STRICT, '*:in*:*:strict'))
        self.assertFalse(plan.matches(STRICT, 'viommu:vhost'))
        self.assertFalse(plan.matches(STRICT, 'viommu:inprocess:virtio:lazy'))
        self.assertFalse(plan.matches(STRICT, 'viommu:inprocess:virtio:strict:more'))

    def test_every_guest_has_its_baseline_in_the_same_batch(self):
        configs = plan.all_configs(cpus=(1, 4), extras=('', 'poll=always'))
        for batch in plan.batches(configs, 1) + plan.batches(plan.short_form(), 100):
            for config in batch:
                self.assertIn(config.baseline(), batch)
        self.assertEqual(sum(map(len, plan.batches(configs, 1))), len(configs))

    def test_the_short_form_has_both_monitors_and_all_that_it_should(self):
        names = {str(config) for config in plan.short_form()}
        for monitor in plan.MONITORS:
            for mode in plan.MODES:
                for kind in ('inprocess:virtio', 'inprocess:intel', 'vhost:intel'):
                    self.assertIn(f'{monitor}:{kind}:{mode}', names)
            self.assertIn(f'{monitor}:vhost:none:none', names)
        self.assertEqual(len(names), 22)

    def test_extra_keys_are_for_our_guests_with_an_iommu(self):
        extras = {(c.monitor, c.iommu != 'none') for c in plan.all_configs(extras=('a=b',)) if c.extra}
        self.assertEqual(extras, {('viommu', True)})
        self.assertEqual(plan.Config('viommu', 'vhost', 'intel', 'lazy', 4, 'a=b').baseline(),
                         plan.Config('viommu', 'vhost', 'none', 'none', 4))

    def test_keys_of_devices_are_for_our_guests_beside_those_without(self):
        configs = plan.all_configs(['inprocess'], extras=('device.a=b', 'c=d,device.a=b'))
        names = {str(config) for config in configs if config.iommu == 'none'}
        self.assertEqual(names, {'qemu:inprocess:none:none', 'viommu:inprocess:none:none',
                                 'viommu:inprocess:none:none (device.a=b)'})
        self.assertIn('viommu:inprocess:virtio:lazy (c=d,device.a=b)', {str(config) for config in configs})


class Commands(unittest.TestCase):
    place = monitors.Place('build', 3, pathlib.Path('/nonexistent'))

    def words(self, *fields):
        return monitors.viommu_command([plan.Config(*fields)], self.place)

    def test_extra_keys_reach_the_iommu(self):
        words = self.words('viommu', 'vhost', 'intel', 'strict', 1, 'poll=always')
        self.assertEqual(words[words.index('--iommu') + 1], 'intel,device-iotlb=on,poll=always')

    def test_extra_keys_reach_the_devices(self):
        words = self.words('viommu', 'inprocess', 'virtio', 'strict', 1, 'poll=always,device.poll=off')
        self.assertEqual(words[words.index('--iommu') + 1], 'virtio,poll=always')
        self.assertEqual(words[words.index('--net') + 1], 'tap=bench3.0,iommu=on,poll=off')
        self.assertTrue(words[words.index('--disk') + 1].endswith(',iommu=on,poll=off'))

    def test_only_what_is_outside_of_the_monitor_has_a_device_tlb(self):
        words = self.words('viommu', 'inprocess', 'intel', 'strict')
        self.assertEqual(words[words.index('--iommu') + 1], 'intel')
        self.assertEqual(words[words.index('--net') + 1], 'tap=bench3.0,iommu=on')

    def test_no_iommu_is_no_iommu(self):
        self.assertFalse([word for word in self.words('viommu', 'inprocess', 'none', 'none') if 'iommu=on' in word])

    def test_modes_of_a_guest_have_devices_of_their_own(self):
        configs = [plan.Config('qemu', 'inprocess', 'intel', mode) for mode in plan.MODES]
        self.assertEqual(plan.guests(configs), [configs])
        words = monitors.cmdline(configs, self.place).split()
        self.assertIn('viommu.modes=strict,lazy,passthrough', words)
        self.assertIn('viommu.ip=10.79.3.2,10.80.3.2,10.81.3.2', words)
        for index in range(3):
            devices = ' '.join(monitors.qemu_devices(configs[index], self.place, index))
            self.assertIn(f'ifname=bench3.{index},', devices)
            self.assertIn(f'mac=52:54:00:00:03:0{index},', devices)
            self.assertIn(f'drive=disk{index},', devices)

    def test_guests_that_differ_in_more_than_modes_are_apart(self):
        shared = plan.guests(plan.short_form(extras=('', 'a=b')))
        self.assertEqual(len(shared), 13)
        for sharing in shared:
            self.assertEqual(len({(c.monitor, c.path, c.iommu, c.cpus, c.extra) for c in sharing}), 1)


class TheTime(unittest.TestCase):
    @staticmethod
    def figures(rounds, seconds):
        """How many a session would take with one guest of one mode."""
        subject = session.Session(session.Spec('build', [], 1, 1, rounds, seconds, []))
        try:
            subject.guests = [guest.Guest([STRICT], None)]
            return len(list(subject.each(plan.METRICS)))
        finally:
            subject.guests = []
            subject.clean_up()

    def test_a_round_ends_with_the_time(self):
        self.assertEqual(self.figures(0, -1), 0)
        self.assertEqual(self.figures(0, 3600), len(plan.METRICS))

    def test_rounds_that_were_asked_for_are_taken_however_long_that_lasts(self):
        self.assertEqual(self.figures(1, -1), len(plan.METRICS))


class Counting(unittest.TestCase):
    def test_threads_of_both_monitors_have_the_same_names(self):
        names = {'vcpu0': 'vcpu', 'CPU 13/KVM': 'vcpu', 'viommu': 'monitor', 'qemu-system-x86': 'monitor',
                 'vhost-4711': 'vhost', 'iou-wrk-12': 'iou-wrk', 'viommu-net-bac': 'backend', 'serial': 'serial'}
        self.assertEqual({name: counters.thread_kind(name) for name in names}, names)

    def test_a_difference_has_what_was_added(self):
        before = {'kvm': {'exits': 5}, 'cpu': {'vcpu': 10}, 'processors': {'cpu0': (3, 10), 'cpu1': (1, 10)}}
        after = {'kvm': {'exits': 9}, 'cpu': {'vcpu': 30, 'vhost': 4}, 'processors': {'cpu0': (4, 14), 'cpu1': (1, 10)}}
        self.assertEqual(counters.difference(before, after),
                         {'kvm.exits': 4, 'cpu.vcpu': 20, 'cpu.vhost': 4, 'processors.cpu0': 0.25})


def sample(config, metric, number, count, seconds=2.0, **counted):
    return {'sample': metric, 'config': vars(config), 'round': number, 'count': count, 'seconds': seconds,
            'counted': {name.replace('_', '.'): value for name, value in counted.items()}}


class Summary(unittest.TestCase):
    def setUp(self):
        qemu = STRICT.counterpart()
        items = []
        for number in range(9):
            speed = 1 + number % 3
            items.append(sample(STRICT, 'send-64K', number, speed * 7_000_000, kvm_exits=speed * 7_000_000 / 65536 * 3))
            items.append(sample(STRICT.baseline(), 'send-64K', number, speed * 10_000_000))
            items.append(sample(qemu, 'send-64K', number, speed * 3_500_000))
            items.append(sample(STRICT, 'round-trips', number, 100 + number, cpu_vcpu=(100 + number) * 4000))
        items.append({'trace': 'send-64K', 'config': vars(STRICT), 'count': 65536 * 10, 'calls': {'maps': 160},
                      'latency': [12, 90]})
        items.append({'absent': vars(qemu.baseline()), 'why': 'it does not start'})
        self.results = summary.Results(items)
        self.lines = list(summary.lines(self.results))

    def line(self, **wanted):
        found = [line for line in self.lines if all(line.get(key) == value for key, value in wanted.items())]
        self.assertEqual(len(found), 1, found)
        return found[0]

    def test_streams_are_in_megabits_and_the_rest_in_operations_a_second(self):
        figure = self.line(bench='guest', monitor='viommu', iommu='virtio', metric='send-64K', unit='Mbit/s')
        self.assertEqual((figure['value'], figure['rounds'], figure['mode'], figure['path'], figure['cpus']),
                         (56, 9, 'strict', 'inprocess', 1))
        self.assertEqual(self.line(metric='round-trips', unit='1/s')['value'], 52)

    def test_ratios_are_to_the_guest_without_iommu_and_to_qemu(self):
        self.assertEqual(self.line(bench='guest', monitor='viommu', unit='ratio', to='none')['value'], 0.7)
        self.assertEqual(self.line(bench='guest', unit='ratio', to='qemu')['value'], 2)

    def test_costs_are_those_of_one_operation(self):
        self.assertEqual(self.line(bench='guest-cost', case='kvm.exits', per='64 KiB')['value'], 3)
        cpu = self.line(bench='guest-cost', case='cpu.vcpu', per='round trip')
        self.assertEqual((cpu['value'], cpu['unit']), (4, 'us'))
        self.assertEqual(self.line(case='guest.maps')['value'], 16)
        self.assertEqual(self.line(case='guest.invalidation-p99')['value'], 90)

    def test_a_median_of_ratios_is_not_a_ratio_of_medians(self):
        items = [sample(STRICT, 'send-64K', n, 10 * speed) for n, speed in enumerate((1, 2, 9))]
        items += [sample(STRICT.baseline(), 'send-64K', n, 10 * speed) for n, speed in enumerate((2, 8, 9))]
        ratio = summary.Results(items).ratio(STRICT, 'send-64K', STRICT.baseline())
        self.assertEqual(ratio.median, statistics.median((1 / 2, 2 / 8, 1)))

    def test_tables_have_a_row_for_each_guest(self):
        text = report.tables(self.results, report.plain)
        self.assertRegex(text, r'inprocess +virtio +strict +1 +viommu +56 \(28-84\) 0\.70 ')
        self.assertRegex(text, r'inprocess +virtio +strict +1 +qemu ')
        self.assertIn('| --- |', report.tables(self.results, report.markdown))

    def test_plots_have_both_monitors_in_a_row(self):
        rows = plot.data(self.results, 'send-64K').splitlines()
        self.assertEqual(rows[1], r'"inprocess\nvirtio\nstrict" 56.0 28.0 84.0 28.0 14.0 42.0')
        self.assertTrue(rows[0].endswith('NaN NaN NaN'))


if __name__ == '__main__':
    unittest.main()
