# What a stage's own CMakeLists.txt calls, in this tree and outside of it.
set(MILL_CMAKE_DIR ${CMAKE_CURRENT_LIST_DIR})

# mill_embed_schema(TARGET file.avsc …): compiles each schema in as `const char mill_avsc_<file>[]`
# (dots and hyphens of the file's name become underscores).
function(mill_embed_schema target)
  foreach(file IN LISTS ARGN)
    get_filename_component(file ${file} ABSOLUTE)
    get_filename_component(stem ${file} NAME_WLE)
    string(REGEX REPLACE "[^A-Za-z0-9]" "_" symbol ${stem})
    set(out ${CMAKE_CURRENT_BINARY_DIR}/mill_avsc_${symbol}.c)
    add_custom_command(OUTPUT ${out} DEPENDS ${file} ${MILL_CMAKE_DIR}/MillEmbed.cmake VERBATIM
      COMMAND ${CMAKE_COMMAND} -DIN=${file} -DOUT=${out} -DNAME=mill_avsc_${symbol}
              -P ${MILL_CMAKE_DIR}/MillEmbed.cmake)
    target_sources(${target} PRIVATE ${out})
  endforeach()
endfunction()

# mill_add_stage(NAME SOURCES … [SCHEMAS …] [LIBS …]): the stage's objects (stage_NAME, so that tests
# link what ships) and its program mill-NAME. The spec must be MILL_STAGE(NAME with _ for -).
function(mill_add_stage name)
  cmake_parse_arguments(A "" "" "SOURCES;SCHEMAS;LIBS" ${ARGN})
  string(REPLACE "-" "_" id ${name})
  add_library(stage_${id} OBJECT ${A_SOURCES})
  target_link_libraries(stage_${id} PUBLIC Sendmill::runtime ${A_LIBS})
  target_compile_features(stage_${id} PRIVATE c_std_11)
  if(TARGET mill_flags)
    target_link_libraries(stage_${id} PRIVATE mill_flags)
  endif()
  if(A_SCHEMAS)
    mill_embed_schema(stage_${id} ${A_SCHEMAS})
  endif()
  add_executable(mill-${name} ${MILL_CMAKE_DIR}/stage_main.c)
  target_compile_definitions(mill-${name} PRIVATE MILL_SPEC=mill_stage_${id})
  target_link_libraries(mill-${name} PRIVATE stage_${id})
  # librdkafka may lie in the user's cache: an installed program must find it there too.
  set_target_properties(mill-${name} PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
  if(TARGET mill_flags)
    target_link_libraries(mill-${name} PRIVATE mill_flags)
  endif()
  install(TARGETS mill-${name} RUNTIME DESTINATION bin)
endfunction()
