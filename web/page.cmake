# The pages and the charts: MOESCOPE_WEB is the folder of what is bundled from web/ with Node,
# MOESCOPE_WEB_FILES are the page templates and the chart templates in it. Included by the folder that
# embeds them. Nothing is redone unless a source or the lock file changes.
find_program(NODE_EXECUTABLE NAMES node nodejs HINTS ${PROJECT_SOURCE_DIR}/.deps/node/bin)
if(NOT NODE_EXECUTABLE)
  message(FATAL_ERROR "The pages are bundled with Node.js: run './dev setup' once, or put node on the PATH")
endif()
set(_web ${PROJECT_SOURCE_DIR}/web)
set(MOESCOPE_WEB ${PROJECT_BINARY_DIR}/web)
set(MOESCOPE_WEB_FILES ${MOESCOPE_WEB}/report.html ${MOESCOPE_WEB}/attention.html ${MOESCOPE_WEB}/experts.html ${MOESCOPE_WEB}/charts.json)
file(GLOB_RECURSE _web_sources CONFIGURE_DEPENDS ${_web}/src/* ${_web}/charts/*)

# Packages are fetched once (set-up does it already); afterwards building needs no network.
add_custom_command(
  OUTPUT ${PROJECT_BINARY_DIR}/web/packages.stamp
  COMMAND ${NODE_EXECUTABLE} ${_web}/install.mjs
  COMMAND ${CMAKE_COMMAND} -E touch ${PROJECT_BINARY_DIR}/web/packages.stamp
  DEPENDS ${_web}/package-lock.json ${_web}/install.mjs
  COMMENT "Checking the npm packages of web/package-lock.json" VERBATIM)
add_custom_command(
  OUTPUT ${MOESCOPE_WEB_FILES}
  COMMAND ${NODE_EXECUTABLE} ${_web}/build.mjs ${MOESCOPE_WEB}
  DEPENDS ${_web}/build.mjs ${_web_sources} ${PROJECT_BINARY_DIR}/web/packages.stamp
  COMMENT "Bundling the pages" VERBATIM)
