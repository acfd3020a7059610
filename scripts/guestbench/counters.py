# SPDX-License-Identifier: BSD-2-Clause
"""What can be counted while a guest runs, without running anything beside it: the state is read before and after."""
import glob
import json
import os
import re
import socket

KVM_COUNTERS = ('exits', 'io_exits', 'mmio_exits', 'halt_exits', 'halt_wakeup', 'irq_exits', 'irq_injections',
                'signal_exits', 'insn_emulation')
IOMMU_COUNTERS = ('maps', 'unmaps', 'invalidations', 'waited', 'requests', 'request_notifications', 'polling_begun',
                  'polling_us', 'polling_looks', 'polling_found')


def thread_kind(name):
    """The same names for both monitors."""
    if re.fullmatch(r'vcpu\d*|CPU \d+/KVM', name):
        return 'vcpu'
    if re.match(r'viommu-net-bac', name):
        return 'backend'
    if re.match(r'viommu$|qemu-system', name):
        return 'monitor'
    return re.sub(r'[-:]?\d+.*$', '', name) or name


def read(path):
    try:
        with open(path, encoding='ascii', errors='replace') as file:
            return file.read()
    except OSError:
        return ''


def tasks(pid):
    """Of each thread: its id and its name."""
    try:
        found = os.listdir(f'/proc/{pid}/task')
    except OSError:
        return []
    return [(int(task), read(f'/proc/{pid}/task/{task}/comm').strip()) for task in found]


def thread_times(pids):
    """For each kind of thread: nanoseconds on a processor, and how often it slept and was woken."""
    times, wakeups = {}, {}
    for pid in pids:
        for task, name in tasks(pid):
            kind = thread_kind(name)
            spent = read(f'/proc/{pid}/task/{task}/schedstat').split()
            slept = re.search(r'^voluntary_ctxt_switches:\s+(\d+)', read(f'/proc/{pid}/task/{task}/status'), re.M)
            times[kind] = times.get(kind, 0) + int(spent[0] if spent else 0)
            wakeups[kind] = wakeups.get(kind, 0) + int(slept[1] if slept else 0)
    return times, wakeups


def processor_times():
    """For each processor: ticks that it was not idle, and all its ticks."""
    found = {}
    for name, *ticks in map(str.split, read('/proc/stat').splitlines()):
        if re.fullmatch(r'cpu\d+', name):
            numbers = [int(tick) for tick in ticks[:8]]
            found[name] = (sum(numbers) - numbers[3] - numbers[4], sum(numbers))
    return found


class Counters:
    """Those of one guest: its monitor's process and its back end's, KVM's, and the IOMMU's where it is ours."""

    def __init__(self, pids, control=None):
        self.pids = pids
        self.kvm = (glob.glob(f'/sys/kernel/debug/kvm/{pids[0]}-*') or [None])[0]
        self.control = socket.socket(socket.AF_UNIX) if control else None
        if self.control:
            self.control.settimeout(30)
            self.control.connect(str(control))

    def close(self):
        if self.control:
            self.control.close()

    def ask_control(self):
        self.control.sendall(b'{"execute": "stats"}\n')
        answer = b''
        while not answer.endswith(b'\n'):
            piece = self.control.recv(65536)
            if not piece:
                return {}
            answer += piece
        return json.loads(answer).get('return', {})

    def read(self):
        """A state, to be subtracted from a later one."""
        state = {'processors': processor_times()}
        state['cpu'], state['wakeups'] = thread_times(self.pids)
        if self.kvm:
            state['kvm'] = {name: int(read(f'{self.kvm}/{name}') or 0) for name in KVM_COUNTERS}
        if self.control:
            stats = self.ask_control()
            state['iommu'] = {name: stats[name] for name in IOMMU_COUNTERS if name in stats}
        return state


def difference(before, after):
    """What was added, as one flat dictionary: kvm.exits, iommu.maps, cpu.vcpu (ns), wakeups.monitor, and the share of
    its time that each processor was busy, processors.cpu1."""
    added = {}
    for group in ('kvm', 'iommu', 'cpu', 'wakeups'):
        for name, value in after.get(group, {}).items():
            added[f'{group}.{name}'] = value - before.get(group, {}).get(name, 0)
    for name, (busy, ticks) in after['processors'].items():
        busy_before, ticks_before = before['processors'].get(name, (0, 0))
        if ticks > ticks_before:
            added[f'processors.{name}'] = (busy - busy_before) / (ticks - ticks_before)
    return added
