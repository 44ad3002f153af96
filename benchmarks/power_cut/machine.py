"""The virtual machine: a kernel, a file system in memory with Python and the project, a disk.

What it needs is named by `lacking`. Emulated, as KVM isn't everywhere: a start takes a minute.
"""

import lzma
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
QEMU: Final = "qemu-system-x86_64"
BUSYBOX: Final = Path("/bin/busybox")
MEMORY_MIB: Final = 2048
MODULES: Final = ("virtio_pci", "virtio_blk", "virtio_console", "ext4", "xfs")
"""What isn't among the kernel's files is taken for built in."""
UNUSED: Final = ("site-packages", "dist-packages", "test", "idlelib", "tkinter", "config-*")
LIBRARY: Final = re.compile(r"(/\S+) \(0x")

INIT: Final = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
while read module; do insmod $module || echo "no $module"; done < /modules/order
mount -t $FILESYSTEM -o $MOUNT_OPTIONS /dev/vda /disk || poweroff -f
export PATH=/bin HOME=/tmp PYTHONPATH=/guest:/guest/site
cd /guest
{python} -m benchmarks.power_cut.load
sync
poweroff -f
"""


def lacking(kernel: Path) -> list[str]:
    """What is missing for a machine."""
    found: list[str] = []
    if shutil.which(QEMU) is None:
        found.append(f"{QEMU} (Debian: qemu-system-x86)")
    if not BUSYBOX.exists():
        found.append(f"{BUSYBOX} (Debian: busybox-static)")
    if not list(kernel.glob("boot/vmlinuz-*")):
        found.append(
            f"{kernel}/boot/vmlinuz-* (Debian: `apt-get download` a linux-image-*-cloud-amd64, "
            "`dpkg -x` it into a folder, --kernel FOLDER)"
        )
    return found


def build(kernel: Path, folder: Path) -> tuple[Path, Path]:
    """The kernel and its first file system, made in `folder`."""
    image = sorted(kernel.glob("boot/vmlinuz-*"))[-1]
    top = folder / "machine"
    shutil.rmtree(top, ignore_errors=True)
    for name in ("bin", "proc", "sys", "dev", "tmp", "run", "disk", "modules"):
        (top / name).mkdir(parents=True)
    shutil.copy2(BUSYBOX, top / "bin/busybox")
    _add_modules(kernel / "lib/modules" / image.name.removeprefix("vmlinuz-"), top)
    _add_python(top)
    _add_project(top)
    _add_libraries(top)
    init = top / "init"
    init.write_text(INIT.format(python=os.path.realpath(sys.executable)))
    init.chmod(0o755)
    archive = folder / "machine.cpio"
    with archive.open("wb") as file:
        for part in _archived(top):
            file.write(part)
    return image, archive


def started(
    built: tuple[Path, Path],
    environment: Mapping[str, object],
    disk: Path,
    port: Path,
    output: Path,
) -> "subprocess.Popen[bytes]":
    """A machine that runs, its disk and serial port served at two sockets."""
    words = [f"{name}={value}" for name, value in environment.items()]
    append = " ".join(["console=ttyS0", "panic=-1", "quiet", *words])
    blockdev = f"driver=nbd,node-name=disk,server.type=unix,server.path={disk}"
    command = [
        *(QEMU, "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", str(MEMORY_MIB)),
        *("-nodefaults", "-no-reboot", "-display", "none", "-serial", f"file:{output}"),
        *("-kernel", str(built[0]), "-initrd", str(built[1]), "-append", append),
        *("-blockdev", blockdev),
        *("-device", "virtio-blk-pci,drive=disk,write-cache=on,discard=off,write-zeroes=off"),
        *("-device", "virtio-serial-pci", "-chardev", f"socket,id=port,path={port}"),
        *("-device", "virtserialport,chardev=port,name=port"),
    ]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL)


def cut_power(machine: "subprocess.Popen[bytes]") -> None:
    machine.send_signal(signal.SIGKILL)
    machine.wait()


def _add_modules(folder: Path, top: Path) -> None:
    files = {path.name.partition(".")[0].replace("-", "_"): path for path in folder.rglob("*.ko*")}
    ordered: list[str] = []

    def add(name: str) -> None:
        if name not in files or name in ordered:
            return
        content = files[name].read_bytes()
        if files[name].suffix == ".xz":
            content = lzma.decompress(content)
        found = re.search(rb"\0depends=([^\0]*)\0", content)
        for needed in filter(None, found[1].decode().split(",") if found else []):
            add(needed.replace("-", "_"))
        (top / "modules" / name).write_bytes(content)
        ordered.append(name)

    for name in MODULES:
        add(name)
    (top / "modules/order").write_text("".join(f"/modules/{name}\n" for name in ordered))


def _add_python(top: Path) -> None:
    """The one that runs this, where it is."""
    python = Path(os.path.realpath(sys.executable))
    library = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(library, _below(top, library), ignore=shutil.ignore_patterns(*UNUSED))
    _below(top, python).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(python, _below(top, python))


def _add_project(top: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "--target", str(top / "guest/site"), str(ROOT)], check=True)
    shutil.copytree(Path(__file__).parent, top / "guest/benchmarks/power_cut")
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(top / "guest")], check=True)


def _add_libraries(top: Path) -> None:
    """What the dynamic linker wants, for Python and for each of its modules."""
    found: set[Path] = set()
    for path in (Path(os.path.realpath(sys.executable)), *top.rglob("*.so")):
        done = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False)
        found.update(Path(name) for name in LIBRARY.findall(done.stdout))
    for path in found:
        if top not in path.parents:
            _below(top, path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, _below(top, path))


def _below(top: Path, path: Path) -> Path:
    return top / path.relative_to("/")


def _archived(top: Path) -> Iterator[bytes]:
    """The files below `top` as a cpio archive in the form `newc`."""
    for number, path in enumerate(sorted(top.rglob("*")), 1):
        is_folder = path.is_dir()
        content = b"" if is_folder else path.read_bytes()
        about = path.stat()
        mode = (stat.S_IFDIR if is_folder else stat.S_IFREG) | stat.S_IMODE(about.st_mode)
        yield _member(str(path.relative_to(top)), number, mode, int(about.st_mtime), content)
    yield _member("TRAILER!!!", 0, 0, 0, b"")


def _member(name: str, number: int, mode: int, changed: int, content: bytes) -> bytes:
    encoded = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, changed, len(content), 0, 0, 0, 0, len(encoded), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
    return _padded(head) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
