# Finds Arrow's and Parquet's C++ libraries and headers inside an unpacked pyarrow wheel.
# Input: ParquetWheel_ROOT (…/pyarrow); default is what deploy/local/setup put into the user cache.
# Output: imported targets Arrow::arrow and Parquet::parquet, ParquetWheel_VERSION,
# ParquetWheel_arrow_LIBRARY, ParquetWheel_parquet_LIBRARY, ParquetWheel_LICENSES.
include(FindPackageHandleStandardArgs)
set(ParquetWheel_PIN 26.0.1)
if(NOT ParquetWheel_ROOT)
  set(ParquetWheel_ROOT "${MILL_CACHE}/sendmill/pyarrow/${ParquetWheel_PIN}/pyarrow")
endif()
find_path(ParquetWheel_INCLUDE_DIR parquet/arrow/writer.h PATHS ${ParquetWheel_ROOT}/include NO_DEFAULT_PATH)
if(ParquetWheel_INCLUDE_DIR)
  file(STRINGS ${ParquetWheel_INCLUDE_DIR}/arrow/util/config.h config
       REGEX "define ARROW_(VERSION_STRING|SO_VERSION) ")
  string(REGEX MATCH "VERSION_STRING \"([^\"]+)\"" _ "${config}")
  set(ParquetWheel_VERSION ${CMAKE_MATCH_1})
  string(REGEX MATCH "SO_VERSION \"([^\"]+)\"" _ "${config}")
  set(ParquetWheel_SO ${CMAKE_MATCH_1})
  foreach(lib arrow parquet) # a wheel has no lib*.so links: the versioned file itself
    find_file(ParquetWheel_${lib}_LIBRARY lib${lib}.so.${ParquetWheel_SO}
              PATHS ${ParquetWheel_ROOT} NO_DEFAULT_PATH)
  endforeach()
  file(GLOB ParquetWheel_LICENSES ${ParquetWheel_ROOT}/../pyarrow-*.dist-info/licenses/*)
endif()
find_package_handle_standard_args(ParquetWheel
  REQUIRED_VARS ParquetWheel_INCLUDE_DIR ParquetWheel_arrow_LIBRARY ParquetWheel_parquet_LIBRARY
  VERSION_VAR ParquetWheel_VERSION)
if(ParquetWheel_FOUND AND NOT TARGET Parquet::parquet)
  foreach(lib arrow parquet)
    string(REPLACE "arrow" "Arrow::arrow" target ${lib})
    string(REPLACE "parquet" "Parquet::parquet" target ${target})
    add_library(${target} SHARED IMPORTED)
    set_target_properties(${target} PROPERTIES
      IMPORTED_LOCATION ${ParquetWheel_${lib}_LIBRARY}
      IMPORTED_SONAME lib${lib}.so.${ParquetWheel_SO}
      INTERFACE_INCLUDE_DIRECTORIES ${ParquetWheel_INCLUDE_DIR})
  endforeach()
  set_target_properties(Parquet::parquet PROPERTIES INTERFACE_LINK_LIBRARIES Arrow::arrow)
endif()
