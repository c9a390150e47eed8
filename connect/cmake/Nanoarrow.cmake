# nanoarrow's C sources as a static library of ours (its own CMakeLists does not configure from the
# PyPI sdist). Input: Nanoarrow_ROOT; default is what deploy/local/setup put into the user cache.
set(Nanoarrow_PIN 0.9.0)
if(NOT Nanoarrow_ROOT)
  set(Nanoarrow_ROOT "${MILL_CACHE}/sendmill/nanoarrow/${Nanoarrow_PIN}")
endif()
if(EXISTS ${Nanoarrow_ROOT}/src/nanoarrow/nanoarrow.h AND NOT TARGET mill_nanoarrow)
  string(REPLACE "." ";" parts ${Nanoarrow_PIN})
  list(GET parts 0 NANOARROW_VERSION_MAJOR)
  list(GET parts 1 NANOARROW_VERSION_MINOR)
  list(GET parts 2 NANOARROW_VERSION_PATCH)
  set(NANOARROW_VERSION ${Nanoarrow_PIN})
  set(NANOARROW_NAMESPACE_DEFINE "#define NANOARROW_NAMESPACE Mill")
  configure_file(${Nanoarrow_ROOT}/src/nanoarrow/nanoarrow_config.h.in
                 ${CMAKE_CURRENT_BINARY_DIR}/nanoarrow/nanoarrow/nanoarrow_config.h @ONLY)
  set(src ${Nanoarrow_ROOT}/src/nanoarrow/common)
  add_library(mill_nanoarrow STATIC ${src}/array.c ${src}/schema.c ${src}/array_stream.c ${src}/utils.c)
  target_include_directories(mill_nanoarrow SYSTEM PUBLIC
    ${CMAKE_CURRENT_BINARY_DIR}/nanoarrow ${Nanoarrow_ROOT}/src)
  target_compile_options(mill_nanoarrow PRIVATE -w)
endif()
