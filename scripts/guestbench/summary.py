# SPDX-License-Identifier: BSD-2-Clause
"""Samples become figures: a median over the rounds with its bounds, its ratio to the same guest without an IOMMU, and
what one operation costs."""
import dataclasses
import statistics

from . import plan, stats

BLOCK = 64 * 1024
# What one operation is, for costs.
OPERATIONS = {'send-64K': '64 KiB', 'receive-64K': '64 KiB', 'round-trips': 'round trip',
              'read-4K-qd1': 'read', 'read-4K-qd32': 'read'}


def operations(metric, count):
    """COUNT: bytes for streams."""
    return count / BLOCK if plan.unit_of(metric) == 'Mbit/s' else count


def rate(metric, count, seconds):
    return count * 8 / 1e6 / seconds if plan.unit_of(metric) == 'Mbit/s' else count / seconds


class Results:
    """What a session printed, by configuration and metric."""

    def __init__(self, objects):
        self.samples = {}  # (config, metric) -> round -> sample
        self.traces = {}   # (config, metric) -> trace
        self.tools = {}    # (config, metric) -> round -> value
        self.absent = {}   # config -> why
        for item in objects:
            self.add(item)

    def add(self, item):
        config = plan.Config(**(item['absent'] if 'absent' in item else item['config']))
        if 'absent' in item:
            self.absent[config] = item['why']
        elif 'sample' in item:
            self.samples.setdefault((config, item['sample']), {})[item['round']] = item
        elif 'trace' in item:
            self.traces[config, item['trace']] = item
        elif 'tool' in item:
            self.tools.setdefault((config, item['tool']), {})[item['round']] = item['value']

    def values(self, config, metric):
        """round -> value"""
        return {number: rate(metric, sample['count'], sample['seconds'])
                for number, sample in self.samples.get((config, metric), {}).items() if sample['count']}

    def figure(self, config, metric):
        values = self.values(config, metric)
        return stats.estimate(values.values()) if values else None

    def ratio(self, config, metric, other):
        """To OTHER, round by round."""
        ratios = stats.paired_ratios(self.values(config, metric), self.values(other, metric))
        return stats.estimate(ratios) if ratios else None

    def configs(self):
        return list(dict.fromkeys(config for config, _ in self.samples))

    def metrics(self, config):
        return [metric for metric in plan.METRICS if (config, metric) in self.samples]

    def costs(self, config, metric):
        """For one operation, medians: name -> (value, unit)."""
        samples = [s for s in self.samples.get((config, metric), {}).values() if s['count']]
        found = {}
        for name in samples[0]['counted'] if samples else ():
            group, _, rest = name.partition('.')
            numbers = [s['counted'].get(name, 0) / operations(metric, s['count']) for s in samples]
            if group == 'processors':
                found[f'busy.{rest}'] = statistics.median(s['counted'].get(name, 0) for s in samples), 'ratio'
            elif group == 'cpu':
                found[name] = statistics.median(numbers) / 1e3, 'us'
            else:
                found[name] = statistics.median(numbers), '1'
        return found

    def traced(self, config, metric):
        """What the guest's kernel did for one operation, and the latency of its invalidations, likewise."""
        trace = self.traces.get((config, metric))
        if not trace or not trace['count']:
            return {}
        done = operations(metric, trace['count'])
        found = {f'guest.{name}': (calls / done, '1') for name, calls in trace['calls'].items()}
        if trace['latency']:
            found['guest.invalidation-median'] = trace['latency'][0], 'us'
            found['guest.invalidation-p99'] = trace['latency'][1], 'us'
        return found


def keys_of(config):
    """Those of design: monitor, path, iommu, mode; the others where they say something."""
    keys = dataclasses.asdict(config)
    if not config.extra:
        del keys['extra']
    return keys


def estimate_line(config, metric, estimate, unit, **more):
    return {'bench': 'guest', **keys_of(config), 'metric': metric, 'value': round(estimate.median, 4), 'unit': unit,
            'low': round(estimate.low, 4), 'high': round(estimate.high, 4), 'rounds': estimate.count,
            'confidence': round(estimate.confidence, 4), **more}


def lines(results):
    """The objects of guest.jsonl: figures and ratios ("bench": "guest"), figures of iperf3 and qperf ("guest-tool"),
    and costs of one operation ("guest-cost")."""
    for config in results.configs():
        for metric in results.metrics(config):
            figure = results.figure(config, metric)
            if not figure:
                continue
            yield estimate_line(config, metric, figure, plan.unit_of(metric))
            if config.iommu != 'none':
                ratio = results.ratio(config, metric, config.baseline())
                if ratio:
                    yield estimate_line(config, metric, ratio, 'ratio', to='none')
            if config.monitor == 'viommu':
                ratio = results.ratio(config, metric, config.counterpart())
                if ratio:
                    yield estimate_line(config, metric, ratio, 'ratio', to='qemu')
            tool = results.tools.get((config, metric))
            if tool:
                yield {**estimate_line(config, metric, stats.estimate(tool.values()), plan.unit_of(metric)),
                       'bench': 'guest-tool'}
            costs = {**results.costs(config, metric), **results.traced(config, metric)}
            for name, (value, unit) in costs.items():
                yield {'bench': 'guest-cost', **keys_of(config), 'metric': metric, 'case': name,
                       'per': OPERATIONS[metric], 'value': round(value, 4), 'unit': unit}
