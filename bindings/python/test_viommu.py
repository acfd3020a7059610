#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The Python binding against the library and the headers: VIOMMU_LIBRARY=FILE test_viommu.py INCLUDE-DIRECTORY CC..."""
import ctypes
import mmap
import pathlib
import subprocess
import sys
import tempfile
import unittest

import viommu

PAGE = 4096
IOVA, GPA = 0x10000, 0x5000


class Layouts(unittest.TestCase):
    """Structures lie as the C compiler lays them out."""

    include = ''
    compiler = ['cc']

    def c_layouts(self):
        lines = ['#include <stddef.h>', '#include <stdio.h>', '#include <viommu/viommu.h>',
                 '#define FIELD(type, name) printf("%s.%s %zu %zu\\n", #type, #name, offsetof(struct type, name), '
                 'sizeof(((struct type *)0)->name))', 'int main(void) {']
        for name, structure in viommu.LAYOUTS.items():
            lines.append(f'printf("{name} %zu\\n", sizeof(struct {name}));')
            lines += [f'FIELD({name}, {field});' for field, _ in structure._fields_]
        with tempfile.TemporaryDirectory() as directory:
            program = pathlib.Path(directory) / 'layouts'
            program.with_suffix('.c').write_text('\n'.join(lines + ['}']) + '\n')
            subprocess.run([*self.compiler, f'-I{self.include}', str(program.with_suffix('.c')), '-o', str(program)],
                           check=True)
            return subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines()

    def test_sizes_and_offsets(self):
        ours = []
        for name, structure in viommu.LAYOUTS.items():
            ours.append(f'{name} {ctypes.sizeof(structure)}')
            for field, _ in structure._fields_:
                place = getattr(structure, field)
                ours.append(f'{name}.{field} {place.offset} {place.size}')
        self.assertEqual(ours, self.c_layouts())


class Dma(unittest.TestCase):
    """Map, translate, unmap, fault."""

    def setUp(self):
        self.lines = []
        self.context = viommu.Context(log=self.lines.append, deadline_ms=200)
        self.memory = mmap.mmap(-1, 16 * PAGE)
        self.context.add_memory(0, self.memory)
        self.domain = self.context.domain(1)
        self.device = self.context.endpoint(0x18, 'device')
        self.device.attach(self.domain)
        self.domain.map(IOVA, IOVA + PAGE - 1, GPA, viommu.READ | viommu.WRITE)

    def tearDown(self):
        self.device.detach()
        self.device.close()
        self.domain.close()
        self.context.close()

    def test_version_is_three_numbers(self):
        self.assertRegex(viommu.version(), r'^\d+\.\d+\.\d+$')

    def test_translation_reaches_guest_memory(self):
        with self.device.section() as section:
            section.translate(IOVA + 8, 5, viommu.WRITE)[:] = b'hello'
            self.assertEqual(section.span(IOVA + 8, 5, viommu.READ).gpa.value, GPA + 8)
        self.assertEqual(self.memory[GPA + 8:GPA + 13], b'hello')
        self.device.write(IOVA, b'copied')
        self.assertEqual(self.device.read(IOVA, 6), b'copied')
        self.assertEqual(self.memory[GPA:GPA + 6], b'copied')

    def test_views_are_void_after_the_section(self):
        with self.device.section() as section:
            view = section.translate(IOVA, 16, viommu.READ)
            with self.assertRaises(TypeError):
                view[0] = 1
        with self.assertRaises(ValueError):
            print(view[0])

    def test_an_unmap_takes_the_page_away(self):
        self.assertEqual(self.domain.unmap(IOVA, IOVA + PAGE - 1), 1)
        with self.device.section() as section, self.assertRaises(OSError) as caught:
            section.translate(IOVA, 16, viommu.READ)
        self.assertEqual(caught.exception.errno, 14)
        stats = self.context.stats()
        self.assertEqual((stats.maps, stats.unmaps, stats.faults), (1, 1, 1))

    def test_an_unmap_waits_for_a_section(self):
        invalidation = self.context.invalidation()
        with self.device.section() as section:
            section.translate(IOVA, 16, viommu.READ)
            self.domain.unmap(IOVA, IOVA + PAGE - 1, invalidation)
            invalidation.begin()
            self.assertFalse(invalidation.poll())
        self.assertTrue(invalidation.poll())
        invalidation.close()

    def test_a_blocked_access_is_a_fault(self):
        with self.assertRaises(OSError):
            self.device.read(IOVA + 4 * PAGE, 4)
        faults = list(self.context.faults())
        self.assertEqual([(f.endpoint, f.iova.value, f.access, f.reason) for f in faults],
                         [(0x18, IOVA + 4 * PAGE, viommu.READ, viommu.Reason.NOT_MAPPED)])
        self.assertEqual(self.lines, ['fault: device read 0x14000: not mapped (domain 1)'])

    def test_limits_refuse_maps(self):
        self.device.detach()
        self.device.set_limits(reserved=[(0x20000, 0x2ffff), (0x40000, 0x40fff)], address_bits=32)
        self.device.attach(self.domain)
        for iova in 0x2f000, 0x40000, 1 << 32:
            with self.assertRaises(OSError) as caught:
                self.domain.map(iova, iova + PAGE - 1, GPA, viommu.READ)
            self.assertEqual(caught.exception.errno, 22)
        self.domain.map(0x41000, 0x41fff, GPA, viommu.READ)

    def test_errors_have_their_number(self):
        with self.assertRaises(FileExistsError):
            self.domain.map(IOVA, IOVA + PAGE - 1, GPA, viommu.READ)


if __name__ == '__main__':
    Layouts.include = sys.argv[1]
    Layouts.compiler = sys.argv[2:] or Layouts.compiler
    unittest.main(argv=sys.argv[:1])
