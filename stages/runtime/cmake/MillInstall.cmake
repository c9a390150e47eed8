# cmake --install: programs, the runtime's libraries and headers, and the CMake package by which a
# user's own stage, in the user's own repository, finds them: find_package(Sendmill).
include(CMakePackageConfigHelpers)
