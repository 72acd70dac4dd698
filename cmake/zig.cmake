# Compiles for any Linux with the zig of the PyPI package ziglang. Given on the command line:
#   LITE_RUNTIME_ZIG            the zig program
#   LITE_RUNTIME_ZIG_TARGET     for example aarch64-linux-gnu.2.17 or x86_64-linux-musl
#   LITE_RUNTIME_ZIG_CPU        the least CPU, for example generic+v7a
#   LITE_RUNTIME_ZIG_PROCESSOR  CMake's name of the processor
#   LITE_RUNTIME_ZIG_PYTHON     the Python program that runs zig_link.py, or the first on the PATH
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES LITE_RUNTIME_ZIG LITE_RUNTIME_ZIG_TARGET LITE_RUNTIME_ZIG_CPU
                                         LITE_RUNTIME_ZIG_PROCESSOR LITE_RUNTIME_ZIG_PYTHON)
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR ${LITE_RUNTIME_ZIG_PROCESSOR})
set(CMAKE_CXX_COMPILER ${LITE_RUNTIME_ZIG} c++)
# The last optimisation named when linking is also that of zig's C++ library: the same always, so that it is built once.
# Without one, CMake's own checks would have it built for debugging.
# Only for a linker as new as zig's do the tables of exceptions go when their functions go.
set(CMAKE_CXX_FLAGS_INIT
    "-target ${LITE_RUNTIME_ZIG_TARGET} -mcpu=${LITE_RUNTIME_ZIG_CPU} -Os -fbinutils-version=none")
set(CMAKE_EXE_LINKER_FLAGS_INIT -Os)
set(CMAKE_SHARED_LINKER_FLAGS_INIT -Os)
# Only in what is kept: CMake's own checks need no small programs.
find_program(LITE_RUNTIME_ZIG_PYTHON python3)
if(NOT CMAKE_PROJECT_NAME STREQUAL "CMAKE_TRY_COMPILE")
  set(CMAKE_CXX_LINKER_LAUNCHER ${LITE_RUNTIME_ZIG_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/zig_link.py)
endif()
