"""Where control groups are, on machines and in containers of several makes."""

from __future__ import annotations

from steadyd.linux.hierarchy import Mount, mounts, own_folders, places

V1 = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
34 30 0:30 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
35 30 0:31 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
V1_PLACES = """\
5:name=systemd:/system.slice/x.service
4:pids:/
3:cpu,cpuacct:/user.slice
2:memory:/jobs/a:b
0::/
"""


def test_controllers_that_are_mounted_together_share_a_folder() -> None:
    assert own_folders(mounts(V1), places(V1_PLACES)) == {
        "pids": "/sys/fs/cgroup/pids",
        "memory": "/sys/fs/cgroup/memory/jobs/a:b",
        "cpu": "/sys/fs/cgroup/cpu,cpuacct/user.slice",
        "cpuacct": "/sys/fs/cgroup/cpu,cpuacct/user.slice",
    }


def test_the_one_of_version_2_has_no_name() -> None:
    assert places("0::/user.slice/session.scope\n") == {"": "/user.slice/session.scope"}
    unified = [mount for mount in mounts(V1) if mount.version == 2]
    assert [mount.path for mount in unified] == ["/sys/fs/cgroup/unified"]


def test_a_path_with_a_space_is_read() -> None:
    line = r"31 30 0:27 /a\040b /mnt/c\040d rw - cgroup2 cgroup2 rw,nsdelegate"
    assert [(mount.root, mount.path) for mount in mounts(line)] == [("/a b", "/mnt/c d")]


def test_a_container_sees_its_own_group_as_the_whole() -> None:
    inside = Mount("/sys/fs/cgroup/memory", "/docker/abc", 1, frozenset({"memory"}))
    assert inside.folder("/docker/abc") == "/sys/fs/cgroup/memory"
    assert inside.folder("/docker/abc/inner") == "/sys/fs/cgroup/memory/inner"
    assert inside.folder("/elsewhere") == "/sys/fs/cgroup/memory"
    whole = Mount("/sys/fs/cgroup", "/", 2, frozenset())
    assert whole.folder("/") == "/sys/fs/cgroup"
    assert whole.folder("/a/b") == "/sys/fs/cgroup/a/b"
    assert whole.folder("/../outside") == "/sys/fs/cgroup"
