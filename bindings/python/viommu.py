# SPDX-License-Identifier: BSD-2-Clause
"""libviommu from Python, by ctypes: contexts, memory, domains, endpoints, sections, invalidations, faults.

    with viommu.Context() as context:
        memory = mmap.mmap(-1, 1 << 20)
        context.add_memory(0, memory)
        domain, device = context.domain(1), context.endpoint(0x18, 'device')
        device.attach(domain)
        domain.map(0x10000, 0x10fff, 0x5000, viommu.READ | viommu.WRITE)
        with device.section() as section:
            section.translate(0x10000, 16, viommu.WRITE)[:] = bytes(16)
        domain.unmap(0x10000, 0x10fff)

Addresses are ints, ranges are closed. An error of the library is an OSError with its errno. The library is
libviommu.so.0, or what VIOMMU_LIBRARY names. The models, and what other processes take part in, are not here.
"""
from __future__ import annotations

import ctypes
import enum
import errno
import mmap
import os
import time
from collections.abc import Callable, Iterator, Sequence
from ctypes import (CFUNCTYPE, POINTER, byref, c_bool, c_char_p, c_int, c_size_t, c_uint, c_uint8, c_uint32, c_uint64,
                    c_void_p)

READ, WRITE, MMIO = 1, 2, 4


class Reason(enum.IntEnum):
    """Why a DMA was blocked: enum viommu_fault_reason."""
    BLOCKED = 1
    NOT_MAPPED = 2
    PERMISSION = 3
    NO_MEMORY = 4
    NO_ROOM = 5


class Iova(ctypes.Structure):
    """struct viommu_iova"""
    _fields_ = [('value', c_uint64)]


class Gpa(ctypes.Structure):
    """struct viommu_gpa"""
    _fields_ = [('value', c_uint64)]


class Fault(ctypes.Structure):
    """struct viommu_fault"""
    _fields_ = [('endpoint', c_uint32), ('domain', c_uint32), ('iova', Iova), ('access', c_uint), ('reason', c_uint),
                ('detail', c_uint32), ('silent', c_bool), ('in_domain', c_bool)]


LogFunction = CFUNCTYPE(None, c_void_p, c_char_p)
FaultFunction = CFUNCTYPE(None, c_void_p, POINTER(Fault))
FailedFunction = CFUNCTYPE(None, c_void_p, c_uint32)
ProgressFunction = CFUNCTYPE(None, c_void_p)


class Config(ctypes.Structure):
    """struct viommu_config"""
    _fields_ = [('size', c_size_t), ('domain_table_bytes', c_uint64), ('log', LogFunction), ('fault', FaultFunction),
                ('deadline_ms', c_uint), ('endpoint_failed', FailedFunction),
                ('progress', ProgressFunction), ('opaque', c_void_p)]


class Stats(ctypes.Structure):
    """struct viommu_stats"""
    _fields_ = [('size', c_size_t)] + [(name, c_uint64) for name in (
        'maps', 'unmaps', 'walks', 'invalidations', 'waited', 'faults', 'faults_unlogged', 'events_dropped',
        'table_bytes', 'quarantined')]


class Reserved(ctypes.Structure):
    """struct viommu_reserved"""
    _fields_ = [('first', Iova), ('last', Iova), ('msi', c_bool)]


class EndpointLimits(ctypes.Structure):
    """struct viommu_endpoint_limits"""
    _fields_ = [('size', c_size_t), ('reserved', POINTER(Reserved)), ('reserved_count', c_size_t),
                ('page_sizes', c_uint64), ('address_bits', c_uint)]


class SectionHead(ctypes.Structure):
    """struct viommu_section"""
    _fields_ = [('near_iova', c_uint64), ('near_len', c_uint64), ('near_host', c_void_p), ('near_shift', c_uint64),
                ('near_access', c_uint), ('quiet', c_bool), ('root_shift', c_uint8), ('endpoint', c_void_p),
                ('domain', c_void_p), ('memory', c_void_p), ('region', c_void_p), ('slot', c_void_p),
                ('dirty', c_void_p), ('root', c_void_p), ('reach', c_uint64), ('region_first', c_uint64),
                ('region_room', c_uint64), ('region_host', c_void_p), ('reserved', c_void_p * 4)]


class Span(ctypes.Structure):
    """struct viommu_span"""
    _fields_ = [('iova', Iova), ('len', c_uint64), ('host', c_void_p), ('gpa', Gpa)]


# What test_viommu.py compares with the headers.
LAYOUTS = {'viommu_iova': Iova, 'viommu_gpa': Gpa, 'viommu_fault': Fault, 'viommu_config': Config,
           'viommu_stats': Stats, 'viommu_reserved': Reserved, 'viommu_endpoint_limits': EndpointLimits,
           'viommu_section': SectionHead, 'viommu_span': Span}

_library = ctypes.CDLL(os.environ.get('VIOMMU_LIBRARY', 'libviommu.so.0'))


def _check(result: int, function: object, arguments: tuple[object, ...]) -> int:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


def _function(name: str, result: type | None, *arguments: object, checked: bool = True) -> Callable[..., int]:
    function = getattr(_library, name)
    function.restype = result
    function.argtypes = arguments
    if result is c_int and checked:
        function.errcheck = _check
    return function


_version_string = _function('viommu_version_string', c_char_p)
_create = _function('viommu_create', c_int, POINTER(Config), POINTER(c_void_p))
_destroy = _function('viommu_destroy', None, c_void_p)
_mem_add = _function('viommu_mem_add', c_int, c_void_p, Gpa, c_uint64, c_void_p, c_int, c_uint64)
_mem_remove = _function('viommu_mem_remove', c_int, c_void_p, Gpa, c_void_p)
_endpoint_add = _function('viommu_endpoint_add', c_int, c_void_p, c_uint32, c_char_p, POINTER(c_void_p))
_endpoint_remove = _function('viommu_endpoint_remove', c_int, c_void_p)
_endpoint_set_limits = _function('viommu_endpoint_set_limits', c_int, c_void_p, POINTER(EndpointLimits))
_stats_get = _function('viommu_stats_get', c_int, c_void_p, POINTER(Stats))
_domain_create = _function('viommu_domain_create', c_int, c_void_p, c_uint32, POINTER(c_void_p))
_domain_destroy = _function('viommu_domain_destroy', None, c_void_p)
_attach = _function('viommu_attach', c_int, c_void_p, c_void_p, c_void_p)
_detach = _function('viommu_detach', c_int, c_void_p, c_void_p)
_bypass = _function('viommu_bypass', c_int, c_void_p, c_void_p)
_map = _function('viommu_map', c_int, c_void_p, Iova, Iova, Gpa, c_uint)
_unmap = _function('viommu_unmap', c_int, c_void_p, Iova, Iova, c_void_p, POINTER(c_uint64))
_inval_create = _function('viommu_inval_create', c_int, c_void_p, POINTER(c_void_p))
_inval_destroy = _function('viommu_inval_destroy', None, c_void_p)
_inval_begin = _function('viommu_inval_begin', None, c_void_p)
_inval_poll = _function('viommu_inval_poll', c_int, c_void_p, checked=False)
_fault_next = _function('viommu_fault_next', c_int, c_void_p, POINTER(Fault), checked=False)
_begin = _function('viommu_dma_begin', c_int, c_void_p, POINTER(SectionHead))
_end = _function('viommu_dma_end', None, POINTER(SectionHead))
_translate = _function('viommu_dma_translate', c_int, POINTER(SectionHead), Iova, c_uint64, c_uint, POINTER(Span))
_read = _function('viommu_dma_read', c_int, c_void_p, Iova, c_void_p, c_size_t)
_write = _function('viommu_dma_write', c_int, c_void_p, Iova, c_void_p, c_size_t)


def version() -> str:
    """The library's version."""
    return _version_string().decode()


class Invalidation:
    """What changes have taken away, until nobody uses it any more: collect, begin(), then poll()."""

    def __init__(self, context: Context) -> None:
        self.handle = c_void_p()
        _inval_create(context.handle, byref(self.handle))

    def begin(self) -> None:
        _inval_begin(self.handle)

    def poll(self) -> bool:
        """True: complete. Raises TimeoutError where the deadline has passed."""
        result = _inval_poll(self.handle)
        if result not in (0, -errno.EAGAIN):
            raise OSError(-result, os.strerror(-result))
        return result == 0

    def finish(self) -> None:
        """Wait until it is complete; not inside a section that it waits for."""
        self.begin()
        while not self.poll():
            time.sleep(0.001)

    def close(self) -> None:
        _inval_destroy(self.handle)


class Domain:
    """An I/O address space."""

    def __init__(self, context: Context, number: int) -> None:
        self.context, self.handle = context, c_void_p()
        _domain_create(context.handle, number, byref(self.handle))

    def map(self, first: int, last: int, gpa: int, access: int) -> None:
        _map(self.handle, Iova(first), Iova(last), Gpa(gpa), access)

    def unmap(self, first: int, last: int, invalidation: Invalidation | None = None) -> int:
        """How many mappings went. Waits until nobody uses them, or adds them to what `invalidation` waits for."""
        removed = c_uint64()
        _unmap(self.handle, Iova(first), Iova(last), self.context.inval(invalidation).handle, byref(removed))
        self.context.settle(invalidation)
        return removed.value

    def close(self) -> None:
        """Its endpoints must be gone."""
        _domain_destroy(self.handle)


class Section:
    """A short stretch of work in which guest memory can be reached; use it in a with statement."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint, self._head, self._views = endpoint, SectionHead(), []

    def __enter__(self) -> Section:
        _begin(self._endpoint.handle, byref(self._head))
        return self

    def translate(self, iova: int, length: int, access: int) -> memoryview:
        """The first piece of [iova, iova + length); void when the section ends, and then an error to touch."""
        span = self.span(iova, length, access)
        view = memoryview((ctypes.c_ubyte * span.len).from_address(span.host)).cast('B')
        if not access & WRITE:
            view = view.toreadonly()
        self._views.append(view)
        return view

    def span(self, iova: int, length: int, access: int) -> Span:
        """The same with its addresses: of the host, valid in the section only, and of the guest."""
        span = Span()
        _translate(byref(self._head), Iova(iova), length, access, byref(span))
        return span

    def __exit__(self, *exception: object) -> None:
        for view in self._views:
            view.release()
        _end(byref(self._head))


class Endpoint:
    """A device as the IOMMU sees it; blocked at first."""

    def __init__(self, context: Context, requester: int, name: str) -> None:
        self.context, self.handle = context, c_void_p()
        _endpoint_add(context.handle, requester, name.encode(), byref(self.handle))

    def set_limits(self, reserved: Sequence[tuple[int, int]] = (), page_sizes: int = 0, address_bits: int = 0) -> None:
        """What it can have mapped, as struct viommu_endpoint_limits says it; `reserved` has pairs first, last."""
        regions = (Reserved * len(reserved))(*((Iova(first), Iova(last), False) for first, last in reserved))
        limits = EndpointLimits(ctypes.sizeof(EndpointLimits), regions, len(reserved), page_sizes, address_bits)
        _endpoint_set_limits(self.handle, byref(limits))

    def attach(self, domain: Domain, invalidation: Invalidation | None = None) -> None:
        _attach(self.handle, domain.handle, self.context.inval(invalidation).handle)
        self.context.settle(invalidation)

    def detach(self, invalidation: Invalidation | None = None) -> None:
        _detach(self.handle, self.context.inval(invalidation).handle)
        self.context.settle(invalidation)

    def bypass(self, invalidation: Invalidation | None = None) -> None:
        _bypass(self.handle, self.context.inval(invalidation).handle)
        self.context.settle(invalidation)

    def section(self) -> Section:
        return Section(self)

    def read(self, iova: int, length: int) -> bytes:
        buffer = ctypes.create_string_buffer(length)
        _read(self.handle, Iova(iova), buffer, length)
        return buffer.raw

    def write(self, iova: int, data: bytes) -> None:
        _write(self.handle, Iova(iova), data, len(data))

    def close(self) -> None:
        """It must be blocked."""
        _endpoint_remove(self.handle)


class Context:
    """An IOMMU. `log` gets the lines for the operator; `deadline_ms` bounds how long an invalidation waits."""

    def __init__(self, log: Callable[[str], None] | None = None, deadline_ms: int = 0) -> None:
        self._memory: dict[int, object] = {}
        self._log = LogFunction(lambda opaque, line: log(line.decode())) if log else LogFunction()
        config = Config(log=self._log, deadline_ms=deadline_ms)
        config.size = ctypes.sizeof(config)
        self.handle = c_void_p()
        _create(byref(config), byref(self.handle))
        self._inval = Invalidation(self)

    def __enter__(self) -> Context:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Its endpoints and domains must be closed."""
        self._inval.close()
        _destroy(self.handle)
        self._memory.clear()

    def add_memory(self, gpa: int, memory: mmap.mmap) -> None:
        """Guest memory; the mapping stays in use until remove_memory() or close()."""
        view = (ctypes.c_ubyte * len(memory)).from_buffer(memory)
        _mem_add(self.handle, Gpa(gpa), len(memory), ctypes.addressof(view), -1, 0)
        self._memory[gpa] = view

    def remove_memory(self, gpa: int) -> None:
        _mem_remove(self.handle, Gpa(gpa), self._inval.handle)
        self._inval.finish()
        del self._memory[gpa]

    def domain(self, number: int) -> Domain:
        return Domain(self, number)

    def endpoint(self, requester: int, name: str) -> Endpoint:
        return Endpoint(self, requester, name)

    def invalidation(self) -> Invalidation:
        return Invalidation(self)

    def inval(self, given: Invalidation | None) -> Invalidation:
        return given or self._inval

    def settle(self, given: Invalidation | None) -> None:
        """Where the caller has no invalidation of its own: wait."""
        if given is None:
            self._inval.finish()

    def faults(self) -> Iterator[Fault]:
        """Blocked DMA of endpoints, the oldest first, until there is none."""
        while True:
            fault = Fault()
            if _fault_next(self.handle, byref(fault)):
                return
            yield fault

    def stats(self) -> Stats:
        stats = Stats(size=ctypes.sizeof(Stats))
        _stats_get(self.handle, byref(stats))
        return stats
