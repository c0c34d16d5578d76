# The pages: MOESCOPE_PAGES is the folder of the bundled templates, MOESCOPE_PAGE_FILES are they, made
# from web/ with Node. Included by the folder that embeds them. Nothing is redone unless a source or the lock file changes.
find_program(NODE_EXECUTABLE NAMES node nodejs HINTS ${PROJECT_SOURCE_DIR}/.deps/node/bin)
if(NOT NODE_EXECUTABLE)
  message(FATAL_ERROR "The pages are bundled with Node.js: run './dev setup' once, or put node on the PATH")
endif()
set(_web ${PROJECT_SOURCE_DIR}/web)
set(MOESCOPE_PAGES ${PROJECT_BINARY_DIR}/web)
set(MOESCOPE_PAGE_FILES ${MOESCOPE_PAGES}/report.html ${MOESCOPE_PAGES}/attention.html)
file(GLOB_RECURSE _web_sources CONFIGURE_DEPENDS ${_web}/src/*)

# Packages are fetched once (set-up does it already); afterwards building needs no network.
add_custom_command(
  OUTPUT ${PROJECT_BINARY_DIR}/web/packages.stamp
  COMMAND ${NODE_EXECUTABLE} ${_web}/install.mjs
  COMMAND ${CMAKE_COMMAND} -E touch ${PROJECT_BINARY_DIR}/web/packages.stamp
  DEPENDS ${_web}/package-lock.json ${_web}/install.mjs
  COMMENT "Checking the npm packages of web/package-lock.json" VERBATIM)
add_custom_command(
  OUTPUT ${MOESCOPE_PAGE_FILES}
  COMMAND ${NODE_EXECUTABLE} ${_web}/build.mjs ${MOESCOPE_PAGES}
  DEPENDS ${_web}/build.mjs ${_web_sources} ${PROJECT_BINARY_DIR}/web/packages.stamp
  COMMENT "Bundling the pages" VERBATIM)
