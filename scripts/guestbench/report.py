# SPDX-License-Identifier: BSD-2-Clause
"""Tables: plain text for a terminal, Markdown for docs/."""
from . import plan

HEADINGS = {'send-64K': 'send, Mbit/s', 'receive-64K': 'receive, Mbit/s', 'round-trips': 'round trips, 1/s',
            'read-4K-qd1': 'reads, 1/s', 'read-4K-qd32': 'reads of 32, 1/s'}
COSTS = {'kvm.exits': 'exits', 'guest.notifications': 'notifications', 'wakeups.monitor': 'wake-ups',
         'guest.maps': 'maps', 'guest.unmaps': 'unmaps', 'guest.invalidations': 'invalidations',
         'guest.invalidation-median': 'latency, us', 'guest.invalidation-p99': '99 %, us',
         'cpu.vcpu': 'vCPU, us', 'cpu.monitor': 'monitor, us', 'cpu.vhost': 'vhost, us', 'cpu.backend': 'back end, us'}


def short(value):
    """Three digits and no more."""
    return f'{value:.0f}' if value >= 100 else f'{value:.3g}'


def figure_cell(results, config, metric):
    """Median, bounds, and the share of what the guest without an IOMMU does."""
    figure = results.figure(config, metric)
    if not figure:
        return '-'
    cell = f'{short(figure.median)} ({short(figure.low)}-{short(figure.high)})'
    ratio = results.ratio(config, metric, config.baseline()) if config.iommu != 'none' else None
    return f'{cell} {ratio.median:.2f}' if ratio else cell


def subject_cells(config):
    mode = config.mode + (f' {config.extra}' if config.extra else '')
    return [config.path, config.iommu, mode, str(config.cpus), config.monitor]


def metrics_of(results, configs):
    return [metric for metric in plan.METRICS if any(metric in results.metrics(config) for config in configs)]


def figure_rows(results):
    metrics = metrics_of(results, results.configs())
    yield ['path', 'iommu', 'mode', 'cpus', 'monitor'] + [HEADINGS[metric] for metric in metrics]
    for config in ordered(results):
        yield subject_cells(config) + [figure_cell(results, config, metric) for metric in metrics]


def ratio_rows(results):
    """Ours as a multiple of QEMU's."""
    configs = [c for c in ordered(results) if c.monitor == 'viommu' and results.metrics(c.counterpart())]
    metrics = metrics_of(results, configs)
    if not configs:
        return
    yield ['path', 'iommu', 'mode', 'cpus', 'viommu/qemu'] + [HEADINGS[metric].split(',')[0] for metric in metrics]
    for config in configs:
        cells = []
        for metric in metrics:
            ratio = results.ratio(config, metric, config.counterpart())
            cells.append(f'{ratio.median:.2f} ({ratio.low:.2f}-{ratio.high:.2f})' if ratio else '-')
        yield subject_cells(config)[:4] + [''] + cells


def cost_rows(results, metric):
    """For one operation of that metric."""
    costs = {config: {**results.costs(config, metric), **results.traced(config, metric)}
             for config in ordered(results) if metric in results.metrics(config)}
    names = [name for name in COSTS if any(name in cost for cost in costs.values())]
    if not names:
        return
    yield ['path', 'iommu', 'mode', 'cpus', 'monitor'] + [COSTS[name] for name in names]
    for config, cost in costs.items():
        yield subject_cells(config) + [short(cost[name][0]) if name in cost else '-' for name in names]


def ordered(results):
    """As planned, not as measured."""
    found = set(results.configs())
    planned = plan.all_configs(cpus=sorted({c.cpus for c in found}), extras=sorted({c.extra for c in found} | {''}))
    return [config for config in planned if config in found]


def plain(rows):
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ''.join('  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() + '\n' for row in rows)


def markdown(rows):
    rows = list(rows)
    if not rows:
        return ''
    text = [rows[0], ['---'] * len(rows[0])] + rows[1:]
    return ''.join('| ' + ' | '.join(row) + ' |\n' for row in text)


def tool_rows(results):
    """Our load beside iperf3 and qperf."""
    if results.tools:
        yield ['monitor', 'configuration', 'metric', 'load', 'iperf3, qperf']
    for (config, metric), values in results.tools.items():
        figure = results.figure(config, metric)
        middle = sorted(values.values())[len(values) // 2]
        yield [config.monitor, str(config).partition(':')[2], metric, short(figure.median) if figure else '-',
               short(middle)]


def tables(results, form):
    """(title, rows) of each table; FORM is plain or markdown."""
    sections = [('Bounds of the median in brackets, then the ratio to the same guest without an IOMMU',
                 figure_rows(results)),
                ('Ours as a multiple of QEMU\'s, round by round', ratio_rows(results)),
                ('Our load beside other tools', tool_rows(results))]
    sections += [(f'{HEADINGS[metric].split(",")[0]}: costs of one operation', cost_rows(results, metric))
                 for metric in plan.METRICS]
    return '\n'.join(f'{title}:\n\n{form(rows)}' for title, rows in ((t, list(r)) for t, r in sections) if rows)
