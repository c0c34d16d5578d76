# How every target of the project is compiled, and the two functions that make one:
#   moescope_library(engine SOURCES a.cpp b.cpp DEPENDS base files)   -> target moescope_engine
#   moescope_tests(engine SOURCES a_test.cpp DEPENDS lab)             -> one GoogleTest program, engine_tests
option(MOESCOPE_FUZZ "Build the libFuzzer targets (clang only)" OFF)
set(MOESCOPE_SANITIZE "" CACHE STRING "Sanitizers, as in -fsanitize=")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  # Paths below the sources count as relative: every clone and work tree shares what one has compiled.
  set(CMAKE_CXX_COMPILER_LAUNCHER
    ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
endif()

# -ffp-contract=off: the numeric contract fixes every rounding, so the compiler must not fuse.
add_compile_options(-Wall -Wextra -Wshadow -Werror -ffp-contract=off -fno-math-errno)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  add_compile_options(-Wno-restrict)  # false positives on std::string in GCC 12 (its bug 105651)
endif()
if(MOESCOPE_SANITIZE)
  add_compile_options(-fsanitize=${MOESCOPE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${MOESCOPE_SANITIZE})
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
endif()
if(MOESCOPE_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# For what is compiled once and runs briefly (tests, option parsers): a fifth of its build time. GCC's
# guess at uninitialised values goes wrong below -O2.
set(MOESCOPE_QUICK_OPTIONS -O1 -Wno-maybe-uninitialized)
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  set(MOESCOPE_QUICK_OPTIONS -O1)
endif()

function(moescope_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;PRIVATE" ${ARGN})
  add_library(moescope_${name} STATIC ${ARG_SOURCES})
  target_include_directories(moescope_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  list(TRANSFORM ARG_DEPENDS PREPEND moescope_)
  target_link_libraries(moescope_${name} PUBLIC ${ARG_DEPENDS} PRIVATE fmt::fmt ${ARG_PRIVATE})
endfunction()

function(moescope_tests name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;PRIVATE" ${ARGN})
  find_package(GTest REQUIRED)
  include(GoogleTest)
  add_executable(${name}_tests ${ARG_SOURCES})
  target_compile_options(${name}_tests PRIVATE ${MOESCOPE_QUICK_OPTIONS})
  list(TRANSFORM ARG_DEPENDS PREPEND moescope_)
  target_link_libraries(${name}_tests
    PRIVATE moescope_${name} ${ARG_DEPENDS} fmt::fmt ${ARG_PRIVATE} GTest::gtest GTest::gtest_main)
  gtest_discover_tests(${name}_tests DISCOVERY_MODE PRE_TEST
    PROPERTIES TIMEOUT 300 ENVIRONMENT "MOESCOPE_SOURCE_DIR=${PROJECT_SOURCE_DIR}")
endfunction()
