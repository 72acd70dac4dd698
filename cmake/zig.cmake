# Compiles for any Linux with the zig of the PyPI package ziglang. Given on the command line:
#   LITE_RUNTIME_ZIG            the zig program
#   LITE_RUNTIME_ZIG_TARGET     for example aarch64-linux-gnu.2.17 or x86_64-linux-musl
#   LITE_RUNTIME_ZIG_CPU        the least CPU, for example generic+v7a
#   LITE_RUNTIME_ZIG_PROCESSOR  CMake's name of the processor
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES LITE_RUNTIME_ZIG LITE_RUNTIME_ZIG_TARGET LITE_RUNTIME_ZIG_CPU
                                         LITE_RUNTIME_ZIG_PROCESSOR)
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR ${LITE_RUNTIME_ZIG_PROCESSOR})
set(CMAKE_CXX_COMPILER ${LITE_RUNTIME_ZIG} c++)
set(CMAKE_CXX_FLAGS_INIT "-target ${LITE_RUNTIME_ZIG_TARGET} -mcpu=${LITE_RUNTIME_ZIG_CPU}")
