# mill_flags: warnings and sanitizers for our own targets. It is never exported.
add_library(mill_flags INTERFACE)
target_compile_definitions(mill_flags INTERFACE _POSIX_C_SOURCE=200809L _DEFAULT_SOURCE)
target_compile_options(mill_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wvla -Wformat=2 -fno-omit-frame-pointer
  $<$<COMPILE_LANGUAGE:C>:-Wpedantic -Wstrict-prototypes -Wmissing-prototypes>
  # The typed arguments of rd_kafka_producev() are GNU statement expressions.
  $<$<COMPILE_LANG_AND_ID:C,Clang>:-Wno-gnu-statement-expression>
  $<$<BOOL:${MILL_WERROR}>:-Werror>)
if(MILL_SANITIZE)
  list(JOIN MILL_SANITIZE "," mill_sanitize)
  target_compile_options(mill_flags INTERFACE -fsanitize=${mill_sanitize} -fno-sanitize-recover=all)
  target_link_options(mill_flags INTERFACE -fsanitize=${mill_sanitize})
endif()
# Ours only: neither a release nor who links the installed package has them.
target_compile_definitions(mill_flags INTERFACE $<$<BOOL:${MILL_FAULT_POINTS}>:MILL_FAULT_POINTS>)
if(MILL_FUZZ)
  target_compile_options(mill_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# mill_add_layer(NAME SOURCES … LIBS …): one static library of the runtime or of mail knowledge.
function(mill_add_layer name)
  cmake_parse_arguments(A "" "INCLUDE" "SOURCES;LIBS;PRIVATE_LIBS" ${ARGN})
  add_library(${name} STATIC ${A_SOURCES})
  target_link_libraries(${name} PUBLIC ${A_LIBS} PRIVATE $<BUILD_INTERFACE:mill_flags> ${A_PRIVATE_LIBS})
  if(A_INCLUDE)
    target_include_directories(${name} PUBLIC $<BUILD_INTERFACE:${A_INCLUDE}>
      $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/sendmill>)
  endif()
endfunction()
