// Limits of control groups from copies of Linux's files as hosts and containers have them.
#include <doctest/doctest.h>

#include <limits>
#include <string>

#include "engine/dispatch/control_group.hpp"
#include "tests/support/system_directory.hpp"

namespace headwise::test {
namespace {

/// /proc/self/mountinfo and /proc/self/cgroup; `mounts` has one line for each hierarchy.
void write_process(const SystemDirectory& system, const std::string& mounts, const std::string& groups) {
    system.write("proc/self/mountinfo", "22 1 0:20 / / rw,relatime shared:1 - ext4 /dev/vda rw\nno mount\n" + mounts);
    system.write("proc/self/cgroup", groups);
}

void write_version_2(const SystemDirectory& system, const std::string& group) {
    write_process(system, "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate", "0::" + group);
}

void write_version_1(const SystemDirectory& system, const std::string& top, const std::string& group) {
    write_process(
        system,
        "33 31 0:30 " + top + " /sys/fs/cgroup/cpu,cpuacct rw shared:5 master:2 - cgroup cgroup rw,cpu,cpuacct\n" + "35 31 0:32 " +
            top + " /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" + "36 31 0:33 " + top +
            " /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset",
        "12:cpuset:" + group + "\n5:memory:" + group + "\n4:cpu,cpuacct:" + group + "\n1:name=systemd:" + group + "\n0::/");
}

/// Version 1's, in microseconds.
void write_quota(const SystemDirectory& system, const std::string& group, const std::string& quota, const std::string& period) {
    system.write(group + "cpu.cfs_quota_us", quota);
    system.write(group + "cpu.cfs_period_us", period);
}

TEST_CASE("version 2: the smallest quota of the own group and all above it") {
    const SystemDirectory system;
    const std::string top = "sys/fs/cgroup/";
    write_version_2(system, "/system.slice/job.service");
    CHECK_FALSE(processor_quota(system.path()).has_value());
    system.write(top + "system.slice/job.service/cpu.max", "max 100000");
    CHECK_FALSE(processor_quota(system.path()).has_value());
    system.write(top + "system.slice/cpu.max", "350000 100000");
    CHECK(processor_quota(system.path()) == 3.5);
    system.write(top + "system.slice/job.service/cpu.max", "25000 50000");
    CHECK(processor_quota(system.path()) == 0.5);
    system.write(top + "system.slice/job.service/cpu.max", "800000 100000");
    CHECK(processor_quota(system.path()) == 3.5);
    system.write(top + "other.slice/cpu.max", "1000 100000");  // of somebody else
    CHECK(processor_quota(system.path()) == 3.5);
}

TEST_CASE("version 2 in a container: the own group is the top of what is mounted") {
    const SystemDirectory system;
    for (const std::string group : {"/", "/../other/child"}) {
        write_version_2(system, group);
        system.write("sys/fs/cgroup/cpu.max", "150000 100000");
        CHECK(processor_quota(system.path()) == 1.5);
    }
}

TEST_CASE("version 1: quota and period, of the controllers' own hierarchies") {
    const SystemDirectory system;
    const std::string cpu = "sys/fs/cgroup/cpu,cpuacct/";
    write_version_1(system, "/", "/batch/job");
    write_quota(system, cpu, "-1", "100000");
    write_quota(system, cpu + "batch/", "400000", "100000");
    CHECK(processor_quota(system.path()) == 4.0);
    write_quota(system, cpu + "batch/job/", "30000", "20000");
    CHECK(processor_quota(system.path()) == 1.5);
    // cpuset is another controller, whose name begins alike.
    write_quota(system, "sys/fs/cgroup/cpuset/", "1000", "100000");
    CHECK(processor_quota(system.path()) == 1.5);
}

TEST_CASE("version 1 in a container that sees the names of its host") {
    const SystemDirectory system;
    write_quota(system, "sys/fs/cgroup/cpu,cpuacct/", "200000", "100000");
    write_version_1(system, "/docker/0123", "/docker/0123");
    CHECK(processor_quota(system.path()) == 2.0);
    write_quota(system, "sys/fs/cgroup/cpu,cpuacct/child/", "100000", "100000");
    write_version_1(system, "/docker/0123", "/docker/0123/child");
    CHECK(processor_quota(system.path()) == 1.0);
    write_version_1(system, "/docker/0123", "/docker/01234/child");  // another one, of a longer name
    CHECK(processor_quota(system.path()) == 2.0);
}

TEST_CASE("a mount point with a blank in its name") {
    const SystemDirectory system;
    write_process(system, "30 23 0:26 / /my\\040groups rw - cgroup2 cgroup2 rw", "0::/a");
    system.write("my groups/a/cpu.max", "100000 100000");
    CHECK(processor_quota(system.path()) == 1.0);
}

TEST_CASE("files that say nothing are no limit") {
    const SystemDirectory system;
    CHECK_FALSE(processor_quota(system.path()).has_value());
    CHECK_FALSE(memory_left(system.path()).has_value());
    for (const std::string text :
         {"", "max", "100000", "0 100000", "100000 0", "-5 100000", "x 100000", "100000 x", "1e5 100000"}) {
        write_version_2(system, "/a");
        system.write("sys/fs/cgroup/a/cpu.max", text);
        system.write("sys/fs/cgroup/a/memory.max", text);
        CAPTURE(text);
        CHECK_FALSE(processor_quota(system.path()).has_value());
    }
    for (const std::string groups : {"", "0", "0:", ":::", "4:cpu", "0::relative"}) {
        write_process(system, "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n- - -\n1 2 3 / / rw -", groups);
        CAPTURE(groups);
        CHECK_FALSE(processor_quota(system.path()).has_value());
    }
}

TEST_CASE("memory left: the least over the groups of the limit less what is in use, the cache of files aside") {
    const SystemDirectory system;
    const std::string top = "sys/fs/cgroup/";
    write_version_2(system, "/a/b");
    system.write(top + "a/b/memory.max", "max");
    CHECK_FALSE(memory_left(system.path()).has_value());
    system.write(top + "a/memory.max", "1000000");
    CHECK(memory_left(system.path()) == 1e6);
    system.write(top + "a/memory.current", "600000");
    CHECK(memory_left(system.path()) == 4e5);
    system.write(top + "a/memory.stat", "anon 250000\nfile 350000\ninactive_anon 7\ninactive_file 200000\nactive_file 150000");
    CHECK(memory_left(system.path()) == 6e5);
    system.write(top + "a/b/memory.max", "800000");
    system.write(top + "a/b/memory.current", "300000");
    CHECK(memory_left(system.path()) == 5e5);
    system.write(top + "a/b/memory.current", "900000");  // as just after the limit was lowered
    CHECK(memory_left(system.path()) == 0.0);
}

TEST_CASE("memory left by version 1's files") {
    const SystemDirectory system;
    const std::string memory = "sys/fs/cgroup/memory/";
    write_version_1(system, "/", "/job");
    system.write(memory + "memory.limit_in_bytes", "9223372036854771712");
    system.write(memory + "job/memory.limit_in_bytes", "1000000");
    system.write(memory + "job/memory.usage_in_bytes", "700000");
    system.write(memory + "job/memory.stat", "inactive_file 1\ntotal_inactive_file 100000");
    CHECK(memory_left(system.path()) == 4e5);
}

TEST_CASE("on this machine: a quota is above 0, and there is memory left") {
    CHECK(processor_quota("").value_or(1) > 0);
    CHECK(memory_left("").value_or(1) > 0);
}

}  // namespace
}  // namespace headwise::test
