# cmake --install: programs, the runtime's libraries and headers, and the CMake package by which a
# user's own stage, in the user's own repository, finds them: find_package(Sendmill).
include(CMakePackageConfigHelpers)
set(mill_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Sendmill)
set(mill_cmake ${CMAKE_SOURCE_DIR}/stages/runtime/cmake)

set_target_properties(mill_runtime PROPERTIES EXPORT_NAME runtime)
set_target_properties(mill_mail PROPERTIES EXPORT_NAME mail)
install(TARGETS mill_base mill_net mill_avro mill_kafka mill_runtime mill_mail EXPORT SendmillTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
# Instrumented libraries need the same of whatever links them.
if(MILL_SANITIZE)
  list(JOIN MILL_SANITIZE "," mill_sanitize)
  target_link_options(mill_base INTERFACE $<INSTALL_INTERFACE:-fsanitize=${mill_sanitize}>)
endif()
if(CMAKE_C_FLAGS_DEBUG MATCHES "--coverage")
  target_link_options(mill_base INTERFACE $<INSTALL_INTERFACE:--coverage>)
endif()
install(EXPORT SendmillTargets NAMESPACE Sendmill:: DESTINATION ${mill_package_dir})

# Internal headers (*_int.h, run.h …) stay at home: what is installed includes only what is installed,
# the C library and jansson.h.
install(DIRECTORY ${CMAKE_SOURCE_DIR}/stages/runtime/
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/sendmill
        FILES_MATCHING PATTERN "*.h"
        PATTERN "*_int.h" EXCLUDE PATTERN "*_priv.h" EXCLUDE PATTERN "*_in.h" EXCLUDE
        PATTERN "run.h" EXCLUDE PATTERN "http_call.h" EXCLUDE PATTERN cmake EXCLUDE)
foreach(header address faults ids records request_json request_rules signature split)
  install(FILES ${CMAKE_SOURCE_DIR}/stages/mail/${header}.h
          DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/sendmill/mail)
endforeach()

configure_package_config_file(${mill_cmake}/SendmillConfig.cmake.in
  ${CMAKE_BINARY_DIR}/SendmillConfig.cmake INSTALL_DESTINATION ${mill_package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/SendmillConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/SendmillConfig.cmake ${CMAKE_BINARY_DIR}/SendmillConfigVersion.cmake
        ${mill_cmake}/MillDependencies.cmake ${mill_cmake}/MillStage.cmake
        ${mill_cmake}/MillEmbed.cmake ${mill_cmake}/stage_main.c
        DESTINATION ${mill_package_dir})
