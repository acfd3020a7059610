# SPDX-License-Identifier: BSD-2-Clause
"""Plots by gnuplot: for each metric the guests' medians with their bounds, both monitors beside each other."""
import pathlib
import subprocess

from . import plan, report

TERMINALS = {'svg': 'svg size {width},480 enhanced background "white"', 'png': 'pngcairo size {width},480 enhanced'}
GUEST_WIDTH, LEAST_WIDTH = 80, 900


def label(config):
    words = [config.path, config.iommu] + ([config.mode] if config.iommu != 'none' else [])
    words += [config.extra] if config.extra else []
    return '\\n'.join(words + ([f'{config.cpus} cpus'] if config.cpus > 1 else []))


def data(results, metric):
    """A line for each kind of guest: its label, then value, low and high of either monitor."""
    rows = {}
    for config in report.ordered(results):
        figure = results.figure(config, metric)
        if figure:
            rows.setdefault(label(config), {})[config.monitor] = figure
    text = ''
    for name, figures in rows.items():
        text += f'"{name}"'
        for monitor in plan.MONITORS:
            figure = figures.get(monitor)
            text += f' {figure.median} {figure.low} {figure.high}' if figure else ' NaN NaN NaN'
        text += '\n'
    return text


def script(metric, text, terminal, target):
    return f'''set terminal {terminal}
set output "{target}"
set title "{metric}"
set ylabel "{plan.unit_of(metric)}"
set yrange [0:*]
set style data histogram
set style histogram errorbars gap 1
set style fill solid 0.6
set errorbars linecolor black
set bmargin 6
set xtics font ",8"
set key outside top center horizontal
$data <<END
{text}END
plot $data using 2:3:4:xtic(1) title "viommu", "" using 5:6:7 title "qemu"
'''


def draw(results, directory):
    """An SVG and a PNG for each metric; returns their names."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    drawn = []
    for metric in plan.METRICS:
        text = data(results, metric)
        width = max(LEAST_WIDTH, GUEST_WIDTH * text.count('\n'))
        for kind, terminal in TERMINALS.items() if text else ():
            target = directory / f'{metric}.{kind}'
            subprocess.run(['gnuplot'], input=script(metric, text, terminal.format(width=width), target), text=True,
                           check=True)
            drawn.append(target.name)
    return drawn
