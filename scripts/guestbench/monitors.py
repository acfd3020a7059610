# SPDX-License-Identifier: BSD-2-Clause
"""The command lines of the monitors, and of the back ends that are programs of their own. A guest is given as the list
of its configurations, which differ in their modes: each has a card and a disk."""
import dataclasses
import pathlib
import shlex
import subprocess

from . import plan

GUEST_MIB = 256
DISK_MIB = 8
MOST_DISKS = len(plan.MODES)


@dataclasses.dataclass(frozen=True)
class Place:
    """What a guest has for itself: taps, subnets, disks, and files in a directory of its own."""
    build: str
    number: int
    work: pathlib.Path

    def tap(self, index):
        return f'bench{self.number}.{index}'

    def subnet(self, index):
        return f'10.{79 + index}.{self.number}'

    def disk(self, index):
        """A RAM disk, whose reads never wait; where there is none (brd), a file on a tmpfs."""
        ram = pathlib.Path(f'/dev/ram{(self.number - 1) * MOST_DISKS + index}')
        return ram if ram.is_block_device() else self.work / f'disk{index}'

    def backend(self, index):
        return self.work / f'backend{index}'

    @property
    def control(self):
        return self.work / 'control'


def cmdline(configs, place):
    """Guests are stopped for minutes while others are measured: their watchdogs would complain."""
    words = ['console=ttyS0', 'panic=-1', 'quiet', 'nowatchdog', 'rcupdate.rcu_cpu_stall_suppress=1',
             'viommu.test=bench', 'viommu.devices=later', f'viommu.iommu={configs[0].iommu}',
             'viommu.modes=' + ','.join(config.mode for config in configs),
             'viommu.ip=' + ','.join(f'{place.subnet(index)}.2' for index in range(len(configs))),
             f'viommu.segments={plan.FULL_SEGMENTS}', 'iommu.strict=1']
    return ' '.join(words + (['intel_iommu=on'] if configs[0].iommu == 'intel' else []))


def has_disk(config):
    return config.path == 'inprocess'


def has_ats(config):
    """Device TLBs are for translations outside of the monitor."""
    return config.iommu == 'intel' and config.path != 'inprocess'


def boot_files(build):
    """By PVH: a guest that decompresses its own kernel, in the lab, takes longer for that than for all the rest."""
    return f'{build}/bench/vmlinux', f'{build}/guest/image.cpio'


def viommu_devices(config, place, index):
    """Of one mode."""
    on = ',iommu=on' if config.iommu != 'none' else ''
    ats = ',ats=on' if has_ats(config) else ''
    cards = {'inprocess': f'tap={place.tap(index)}', 'vhost': f'tap={place.tap(index)},vhost=on',
             'vhost-user': f'vhost-user={place.backend(index)},shared=off',
             'vhost-user-shared': f'vhost-user={place.backend(index)},shared=on'}
    keys = ''.join(f',{key}' for key in config.device_keys())
    command = ['--net', cards[config.path] + on + ats + keys]
    return command + (['--disk', f'path={place.disk(index)}{on}{keys}'] if has_disk(config) else [])


def viommu_command(configs, place):
    config = configs[0]
    kernel, initrd = boot_files(place.build)
    command = [f'{place.build}/vmm/viommu', 'run', '--kernel', kernel, '--initrd', initrd, '--no-reboot',
               '--cmdline', cmdline(configs, place), '--cpus', str(config.cpus),
               '--memory', f'size={GUEST_MIB}M,hugepages=on', '--control', str(place.control)]
    if config.iommu != 'none':
        keys = [config.iommu] + (['device-iotlb=on'] if has_ats(config) else [])
        command += ['--iommu', ','.join(keys + config.iommu_keys())]
    for index, mode in enumerate(configs):
        command += viommu_devices(mode, place, index)
    return command


def qemu_iommu(config):
    if config.iommu == 'virtio':
        return ['-device', 'virtio-iommu-pci']
    if config.iommu == 'intel':
        return ['-device', 'intel-iommu,intremap=on' + (',device-iotlb=on' if has_ats(config) else '')]
    return []


def qemu_devices(config, place, index):
    """Of one mode."""
    behind = ',disable-legacy=on' + (',iommu_platform=on' if config.iommu != 'none' else '')
    if config.path == 'vhost-user':
        command = ['-chardev', f'socket,id=peer{index},path={place.backend(index)}',
                   '-netdev', f'vhost-user,chardev=peer{index},id=net{index}']
    else:
        vhost = 'on' if config.path == 'vhost' else 'off'
        command = ['-netdev', f'tap,ifname={place.tap(index)},script=no,downscript=no,vhost={vhost},id=net{index}']
    ats = ',ats=on' if has_ats(config) else ''
    # Cards of one guest need addresses of their own.
    address = f'52:54:00:00:{place.number:02x}:{index:02x}'
    command += ['-device', f'virtio-net-pci,netdev=net{index},mac={address},romfile={behind}{ats}']
    if has_disk(config):
        command += ['-drive', f'file={place.disk(index)},if=none,id=disk{index},format=raw,aio=io_uring',
                    '-device', f'virtio-blk-pci,drive=disk{index}{behind}']
    return command


def qemu_program():
    return shlex.split(subprocess.run(['scripts/fetch-qemu', 'build/qemu'], check=True, text=True,
                                      stdout=subprocess.PIPE).stdout)


def qemu_command(configs, place):
    config = configs[0]
    kernel, initrd = boot_files(place.build)
    command = qemu_program() + [
        '-name', 'bench,debug-threads=on', '-machine', 'q35,kernel-irqchip=split,memory-backend=ram',
        '-m', str(GUEST_MIB), '-enable-kvm', '-cpu', 'host', '-smp', str(config.cpus), '-object',
        f'memory-backend-memfd,id=ram,size={GUEST_MIB}M,share=on,hugetlb=on,hugetlbsize=2M,prealloc=on',
        '-bios', 'qboot.rom', '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-serial', 'stdio',
        '-kernel', kernel, '-initrd', initrd, '-append', cmdline(configs, place)]
    command += qemu_iommu(config)
    for index, mode in enumerate(configs):
        command += qemu_devices(mode, place, index)
    return command


def command_of(configs, place):
    return (viommu_command if configs[0].monitor == 'viommu' else qemu_command)(configs, place)


def backend_commands(configs, place):
    """None where the monitor or the kernel serves the cards."""
    if not configs[0].path.startswith('vhost-user'):
        return []
    return [[f'{place.build}/net-backend/viommu-net-backend', '--socket', str(place.backend(index)),
             '--tap', place.tap(index)] for index in range(len(configs))]
