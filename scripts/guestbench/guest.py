# SPDX-License-Identifier: BSD-2-Clause
"""A guest that lives through all rounds, stopped while others are measured, and does what its console is told. Each of
its modes has devices of its own, which Linux puts into a group of that kind."""
import dataclasses
import os
import re
import select
import signal
import subprocess
import time

from . import counters, monitors

BOOT_SECONDS = 240
READY_SECONDS = 90
ANSWER_SECONDS = 60


class GuestError(Exception):
    """A guest that does not do what it should."""


def processors():
    """(those of the harness and of all that is no guest, those of guests): docs/HACKING.md, "The lab"."""
    every = sorted(range(os.cpu_count()))
    return (every[:1], every[1:]) if len(every) > 1 else (every, every)


class Guest:
    def __init__(self, configs, place):
        self.configs, self.place = configs, place
        self.monitor = self.counters = None
        self.backends = []
        self.buffer = b''
        self.log = []
        self.booted = False

    def __str__(self):
        first = self.configs[0]
        modes = ','.join(config.mode for config in self.configs)
        return str(dataclasses.replace(first, mode=modes))

    # Processes

    def start(self):
        """Boots it, and returns when it waits for commands; its threads are where they should be."""
        self.prepare()
        harness, guests = processors()
        for index, command in enumerate(monitors.backend_commands(self.configs, self.place)):
            self.backends.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                                  stderr=subprocess.DEVNULL))
            self.wait_for_file(self.place.backend(index))
        with open(self.place.work / 'stderr', 'wb') as stderr:
            self.monitor = subprocess.Popen(monitors.command_of(self.configs, self.place), stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=stderr,
                                            preexec_fn=lambda: os.sched_setaffinity(0, guests))
        try:
            self.expect('guest: first line', BOOT_SECONDS)
            self.booted = True
            self.place_threads()
            self.expect('guest: ready', READY_SECONDS)
            self.counters = counters.Counters(
                self.pids(), self.place.control if self.configs[0].monitor == 'viommu' else None)
        except (GuestError, OSError) as error:
            why = self.why(error)
            self.end()
            raise GuestError(why) from error

    def prepare(self):
        self.buffer, self.booted, self.log = b'', False, []
        self.place.work.mkdir(parents=True, exist_ok=True)
        self.place.control.unlink(missing_ok=True)
        for index in range(len(self.configs)):
            self.place.backend(index).unlink(missing_ok=True)
            disk = self.place.disk(index)
            if not disk.is_block_device():
                disk.write_bytes(bytes(monitors.DISK_MIB << 20))
            disk.read_bytes()  # so that the page cache has it

    @staticmethod
    def wait_for_file(path):
        for _ in range(100):
            if path.exists():
                return
            time.sleep(0.1)
        raise GuestError('its back end does not start')

    def pids(self):
        return [process.pid for process in self.processes()]

    def processes(self):
        return ([self.monitor] if self.monitor else []) + self.backends

    def place_threads(self):
        """Virtual processors on those of guests, in turn; everything else of the monitor on the harness's."""
        harness, guests = processors()
        virtual = []
        for task, name in counters.tasks(self.monitor.pid):
            if counters.thread_kind(name) == 'vcpu':
                virtual.append((int(re.search(r'\d+', name)[0]), task))
                continue
            try:
                os.sched_setaffinity(task, harness)
            except ProcessLookupError:
                pass
        for index, task in virtual:
            os.sched_setaffinity(task, [guests[index % len(guests)]])

    def stop(self):
        """The monitor first, and its back ends first to come back: it has deadlines for their answers."""
        for pid in self.pids():
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.01)

    def resume(self):
        for pid in reversed(self.pids()):
            os.kill(pid, signal.SIGCONT)

    def end(self):
        if self.counters:
            self.counters.close()
            self.counters = None
        for process in self.processes():
            process.kill()
            process.wait()
        if self.monitor:
            self.monitor.stdin.close()
            self.monitor.stdout.close()
        self.monitor, self.backends = None, []

    def why(self, error):
        """The best reason that there is for what went wrong."""
        failed = [line for line in self.log if line.startswith('guest: ') and 'failed' in line]
        return (failed or [self.said() or str(error)])[-1]

    def said(self):
        """The monitor's last line."""
        lines = (self.place.work / 'stderr').read_text(errors='replace').strip().splitlines()
        return lines[-1] if lines else ''

    # Its console

    def tell(self, line):
        try:
            os.write(self.monitor.stdin.fileno(), line.encode() + b'\n')
        except OSError as error:
            raise GuestError('it has ended') from error

    def next_line(self, until):
        while b'\n' not in self.buffer:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.monitor.stdout], [], [], left)[0]:
                raise GuestError(f'it is silent; its last line: {self.log[-1] if self.log else ""}')
            piece = os.read(self.monitor.stdout.fileno(), 65536)
            if not piece:
                raise GuestError('it has ended')
            self.buffer += piece
        line, self.buffer = self.buffer.split(b'\n', 1)
        self.log.append(line.decode(errors='replace').strip())
        return self.log[-1]

    def expect(self, start, seconds):
        """The next line that begins so; an end of the command before it is an error."""
        until = time.monotonic() + seconds
        while True:
            line = self.next_line(until)
            if line.startswith(start):
                return line
            if line.startswith('done: ') or line.startswith('guest: bench: failed'):
                raise GuestError(' '.join(self.log[-2:]))

    # Figures

    def begin(self, what, config, metric, *numbers):
        """Has it begin with that, by the devices of that mode; what it said before is old."""
        self.place_threads()
        self.log = []
        self.tell(' '.join(map(str, (what, metric, self.configs.index(config), *numbers))))

    def measure(self, config, metric, warm, milliseconds):
        """(operations or bytes, seconds, what was counted meanwhile)"""
        self.begin('load', config, metric, warm, milliseconds)
        self.expect('>', ANSWER_SECONDS)
        before = self.counters.read()
        self.tell('')
        self.expect('<', ANSWER_SECONDS + milliseconds / 1000)
        after = self.counters.read()
        self.tell('')
        line = self.expect('load: count ', ANSWER_SECONDS)
        self.expect('done: 0', ANSWER_SECONDS)
        words = line.split()
        return int(words[2]), float(words[4]), counters.difference(before, after)

    def trace(self, config, metric, milliseconds):
        """(operations or bytes, calls of the guest's kernel by name, latency's median and 99 % in us or None)"""
        self.begin('trace', config, metric, milliseconds)
        count = int(self.expect('load: count ', ANSWER_SECONDS).split()[2])
        self.expect('done: 0', ANSWER_SECONDS)
        calls = {words[1]: int(words[2]) for words in map(str.split, self.log) if words[:1] == ['trace:']}
        times = [words[1:] for words in map(str.split, self.log) if words[:1] == ['latency:']]
        return count, calls, [float(word) for word in times[0]] if times else None

    def tool(self, config, metric, seconds):
        """The same by iperf3 or qperf."""
        self.begin('tool', config, metric, seconds)
        value = float(self.expect('tool: ', ANSWER_SECONDS + 2 * seconds).split()[1])
        self.expect('done: 0', ANSWER_SECONDS)
        return value
