# Cross-compiles for 64-bit Arm Linux with Debian's g++-aarch64-linux-gnu; ctest runs the programs under qemu-user-static where it is installed:
#
#   dpkg --add-architecture arm64 && apt-get update
#   apt-get install g++-aarch64-linux-gnu qemu-user-static libtbb-dev:arm64 libxsimd-dev:arm64
#   cmake -B build/aarch64 --toolchain cmake/aarch64-linux-gnu.cmake
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)

find_program(HEADWISE_QEMU NAMES qemu-aarch64-static qemu-aarch64)
if(HEADWISE_QEMU)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${HEADWISE_QEMU})
endif()
