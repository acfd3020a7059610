#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""usage: session.py SPEC. Boots guests where KVM works and measures them in turn; started by scripts/bench-guest. SPEC
is a JSON object (see Spec). Prints a JSON object a line: samples, traces, figures of other tools, guests that there are
not; progress on stderr."""
import dataclasses
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # the tree stays clean
if __package__ is None:
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from guestbench import guest, monitors, plan  # noqa: E402

PORT = 7411
TRIES = 3
HUGEPAGE_MIB = 2


@dataclasses.dataclass
class Spec:
    """WARM, LENGTH: of a figure, in ms. ROUNDS: so many, or as many as fit into SECONDS where it is 0. TRACED: metrics
    whose calls of the guest's kernel are counted. TOOL_SECONDS: of a figure by iperf3 or qperf, 0 for none."""
    build: str
    batches: list
    warm: int
    length: int
    rounds: int
    seconds: float
    traced: list
    tool_seconds: int = 0


def say(*words):
    print('bench: guest:', *words, file=sys.stderr, flush=True)


def emit(**fields):
    print(json.dumps(fields), flush=True)


def run(*command):
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Session:
    def __init__(self, spec):
        self.spec = spec
        self.begin = time.monotonic()
        shm = '/dev/shm' if os.path.isdir('/dev/shm') else None
        self.work = pathlib.Path(tempfile.mkdtemp(prefix='bench-guest.', dir=shm))
        self.guests = []
        self.servers = []
        self.settings = {}

    def left(self):
        return self.spec.seconds - (time.monotonic() - self.begin)

    def over(self):
        """Where a machine is so slow that not even one round fits, what there is has to do."""
        return not self.spec.rounds and self.left() <= 0

    # The host of the guests

    def set_up(self, largest):
        harness, _ = guest.processors()
        os.sched_setaffinity(0, harness)
        run('modprobe', 'vhost_net')
        run('modprobe', 'brd', f'rd_nr={largest * monitors.MOST_DISKS}', f'rd_size={monitors.DISK_MIB * 1024}')
        run('mount', '-t', 'debugfs', 'none', '/sys/kernel/debug')
        self.set_setting('vm/nr_hugepages', largest * monitors.GUEST_MIB // HUGEPAGE_MIB + 16)
        self.set_setting('net/ipv4/tcp_slow_start_after_idle', 0)
        self.set_setting('net/ipv4/tcp_min_tso_segs', plan.FULL_SEGMENTS)
        commands = [[f'{self.spec.build}/guest/programs/load', 'serve', str(PORT)]]
        if self.spec.tool_seconds:
            commands += [['iperf3', '-s'], ['qperf']]
        self.servers = [subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.DEVNULL) for command in commands]

    def clean_up(self):
        self.end_batch()
        for server in self.servers:
            server.kill()
        for path, value in self.settings.items():
            path.write_text(value, encoding='ascii')
        shutil.rmtree(self.work, ignore_errors=True)

    def set_setting(self, name, value):
        """Until the session's end."""
        path = pathlib.Path('/proc/sys') / name
        self.settings[path] = path.read_text(encoding='ascii')
        path.write_text(str(value), encoding='ascii')

    @staticmethod
    def add_tap(place, index):
        run('ip', 'tuntap', 'add', place.tap(index), 'mode', 'tap')
        run('ip', 'addr', 'add', f'{place.subnet(index)}.1/24', 'dev', place.tap(index))
        run('ip', 'link', 'set', place.tap(index), 'up')

    # Guests

    def boot(self, subject):
        """A combination that a monitor does not know fails before the guest's first line: that is final."""
        why = ''
        for attempt in range(1, TRIES + 1):
            try:
                begin = time.monotonic()
                subject.start()
                subject.stop()
                say(f'{subject}: booted in {time.monotonic() - begin:.1f} s')
                return True
            except guest.GuestError as error:
                say(f'{subject}: boot {attempt}: {error}')
                why = str(error)
                if not subject.booted and 'silent' not in why:
                    break
        for config in subject.configs:
            emit(absent=dataclasses.asdict(config), why=why)
        return False

    def boot_batch(self, configs):
        for number, sharing in enumerate(plan.guests(configs), 1):
            place = monitors.Place(self.spec.build, number, self.work / str(number))
            for index in range(len(sharing)):
                self.add_tap(place, index)
            subject = guest.Guest(sharing, place)
            if self.boot(subject):
                self.guests.append(subject)

    def end_batch(self):
        for subject in self.guests:
            subject.end()
            for index in range(len(subject.configs)):
                run('ip', 'link', 'del', subject.place.tap(index))
        self.guests = []

    def attempt(self, subject, what, config, metric, *arguments):
        """What that method of the guest returns while it alone runs; None where it fails: then it is booted again."""
        try:
            subject.resume()
            found = getattr(subject, what)(config, metric, *arguments)
            subject.stop()
            return found
        except (guest.GuestError, OSError, ValueError) as error:
            say(f'{config}: {what} {metric}: {error}; the monitor: {subject.said()}')
            subject.end()
            if not self.boot(subject):
                self.guests.remove(subject)
            return None

    # Figures

    def each(self, metrics, shuffle=None):
        """Each metric with each configuration and its guest; those of a metric one soon after the other, in an order
        that changes."""
        for metric in metrics:
            order = [(config, subject) for subject in self.guests for config in subject.configs]
            if shuffle:
                shuffle.shuffle(order)
            for config, subject in order:
                if self.over():
                    return
                if metric in config.metrics() and subject in self.guests:
                    yield metric, config, subject

    def trace(self):
        """These runs are also what warms the guests up."""
        for metric, config, subject in self.each(self.spec.traced):
            found = self.attempt(subject, 'trace', config, metric, self.spec.length // 2)
            if found:
                count, calls, latency = found
                emit(trace=metric, config=dataclasses.asdict(config), count=count, calls=calls,
                     latency=latency)

    def round(self, number):
        for metric, config, subject in self.each(plan.METRICS, random.Random(number)):
            found = self.attempt(subject, 'measure', config, metric, self.spec.warm, self.spec.length)
            if found:
                count, seconds, counted = found
                emit(sample=metric, config=dataclasses.asdict(config), round=number, count=count,
                     seconds=seconds, counted=counted)

    def tools(self, number):
        for metric, config, subject in self.each(plan.NET_METRICS, random.Random(number)):
            value = self.attempt(subject, 'tool', config, metric, self.spec.tool_seconds)
            if value:
                emit(tool=metric, config=dataclasses.asdict(config), round=number, value=value)

    def rounds(self, end):
        """As many as are asked for, or as fit; END: what is to be left of the time."""
        number, length = 0, 0.0
        while number < self.spec.rounds or (not self.spec.rounds and (
                number == 0 or self.left() - length * 1.05 > end)):
            begin = time.monotonic()
            self.round(number)
            if self.spec.tool_seconds:
                self.tools(number)
            length = time.monotonic() - begin
            number += 1
            say(f'round {number}: {length:.0f} s, {len(self.guests)} guests')

    def run(self):
        batches = [[plan.Config(**fields) for fields in batch] for batch in self.spec.batches]
        self.set_up(max(len(plan.guests(batch)) for batch in batches))
        for index, configs in enumerate(batches):
            self.boot_batch(configs)
            self.trace()
            self.rounds(self.left() * (len(batches) - index - 1) / (len(batches) - index))
            self.end_batch()


def main():
    session = Session(Spec(**json.loads(sys.argv[1])))
    try:
        session.run()
    finally:
        session.clean_up()


if __name__ == '__main__':
    main()
