# SPDX-License-Identifier: BSD-2-Clause
"""What is measured: configurations of guests, a choice among them, and their metrics."""
import dataclasses
import fnmatch

MONITORS = ('viommu', 'qemu')
PATHS = ('inprocess', 'vhost', 'vhost-user', 'vhost-user-shared')
IOMMUS = ('none', 'virtio', 'intel')
MODES = ('strict', 'lazy', 'passthrough')
NET_METRICS = ('send-64K', 'receive-64K', 'round-trips')
DISK_METRICS = ('read-4K-qd1', 'read-4K-qd32')
METRICS = NET_METRICS + DISK_METRICS
# TCP makes a frame for the device as long as what it sends in a millisecond: at 500 Mbit/s and more that is 64 KiB. A
# guest of the lab is slower than that, would have shorter frames the slower it is, and so more of them: a small cost of
# each frame then looks like a large one. So frames are always full: so many segments of 1448 bytes.
FULL_SEGMENTS = 45
UNITS = {'send-64K': 'Mbit/s', 'receive-64K': 'Mbit/s'}


def unit_of(metric):
    return UNITS.get(metric, '1/s')


DEVICE = 'device.'


@dataclasses.dataclass(frozen=True)
class Config:
    """A card and a disk in a guest: which monitor, how the card's frames go, the IOMMU. EXTRA: more keys of our
    --iommu, and, behind "device.", of each card and disk."""
    monitor: str
    path: str
    iommu: str
    mode: str
    cpus: int = 1
    extra: str = ''

    def __str__(self):
        name = f'{self.monitor}:{self.path}:{self.iommu}:{self.mode}'
        if self.cpus > 1:
            name += f' ({self.cpus} processors)'
        return f'{name} ({self.extra})' if self.extra else name

    def iommu_keys(self):
        return [key for key in self.extra.split(',') if key and not key.startswith(DEVICE)]

    def device_keys(self):
        return [key.removeprefix(DEVICE) for key in self.extra.split(',') if key.startswith(DEVICE)]

    def metrics(self):
        """The disk is served by the monitor itself, whatever serves the card."""
        return METRICS if self.path == 'inprocess' else NET_METRICS

    def baseline(self):
        """The same guest without an IOMMU, with the same keys of its devices."""
        keys = ','.join(DEVICE + key for key in self.device_keys())
        return Config(self.monitor, self.path, 'none', 'none', self.cpus, keys)

    def counterpart(self):
        """The same guest of the other monitor's, with its fixed keys."""
        other = 'qemu' if self.monitor == 'viommu' else 'viommu'
        return Config(other, self.path, self.iommu, self.mode, self.cpus)


def known(monitor, path):
    """QEMU has no table that it shares with its back ends."""
    return monitor == 'viommu' or path != 'vhost-user-shared'


def keys_of(monitor, iommu, extras):
    """What of EXTRAS a guest can have; that without an IOMMU is a baseline, and so also has none."""
    if monitor != 'viommu':
        return ['']
    if iommu != 'none':
        return extras
    return [''] + [extra for extra in extras if extra and not Config(monitor, '', iommu, '', 1, extra).iommu_keys()]


def all_configs(paths=PATHS, iommus=IOMMUS, cpus=(1,), extras=('',)):
    """Every configuration, those that are compared next to each other."""
    found = []
    for count in cpus:
        for path in paths:
            for iommu in iommus:
                for mode in MODES if iommu != 'none' else ('none',):
                    for monitor in MONITORS:
                        if not known(monitor, path):
                            continue
                        found += [Config(monitor, path, iommu, mode, count, extra)
                                  for extra in keys_of(monitor, iommu, extras)]
    return found


def short_form(cpus=(1,), extras=('',)):
    """The card and the disk that the monitor serves itself, and the kernel's card behind VT-d."""
    return (all_configs(['inprocess'], cpus=cpus, extras=extras) +
            all_configs(['vhost'], ['none', 'intel'], cpus=cpus, extras=extras))


def matches(config, pattern):
    """PATTERN: MONITOR[:PATH[:IOMMU[:MODE]]], each with "*" for any."""
    fields = (config.monitor, config.path, config.iommu, config.mode)
    parts = pattern.split(':')
    return len(parts) <= len(fields) and all(fnmatch.fnmatchcase(f, p) for f, p in zip(fields, parts))


def choose(configs, patterns):
    """Those that match a pattern, with their baselines, in the order of CONFIGS."""
    if not patterns:
        return configs
    chosen = {config for config in configs if any(matches(config, pattern) for pattern in patterns)}
    chosen |= {config.baseline() for config in chosen}
    return [config for config in configs if config in chosen]


def guests(configs):
    """Lists of those that share a guest: they differ in their modes alone, each of which has devices of its own."""
    shared = {}
    for config in configs:
        shared.setdefault(dataclasses.replace(config, mode=''), []).append(config)
    return list(shared.values())


def batches(configs, largest):
    """All at once where so many guests can live at a time, else those of each path and number of processors."""
    if len(guests(configs)) <= largest:
        return [configs]
    groups = {}
    for config in configs:
        groups.setdefault((config.cpus, config.path), []).append(config)
    return list(groups.values())
