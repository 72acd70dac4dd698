# Cross-compiles for 32-bit ARM Linux (ARMv7-A, hard float) with Debian's g++-arm-linux-gnueabihf; tests run
# in qemu-user. The baseline has no NEON: only the kernels' NEON tier is built for it.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR armv7l)
set(CMAKE_CXX_COMPILER arm-linux-gnueabihf-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-arm -L /usr/arm-linux-gnueabihf)
