# Puts the page of `headwise profile` together, style and scripts in their order, and makes a source file of it: profile_page_source.
set(profile_page_folder ${CMAKE_CURRENT_LIST_DIR})
set(profile_page_script_names elements timeline charts)
list(TRANSFORM profile_page_script_names REPLACE "(.+)" "page_\\1.js")

file(READ ${profile_page_folder}/page.css profile_page_style)
set(profile_page_script "")
foreach(name IN LISTS profile_page_script_names ITEMS page.js)
  file(READ ${profile_page_folder}/${name} text)
  string(APPEND profile_page_script "${text}")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${profile_page_folder}/${name})
endforeach()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${profile_page_folder}/page.css)

configure_file(${profile_page_folder}/page.html ${CMAKE_CURRENT_BINARY_DIR}/profile_page.html @ONLY)
file(READ ${CMAKE_CURRENT_BINARY_DIR}/profile_page.html profile_page)
set(profile_page_source ${CMAKE_CURRENT_BINARY_DIR}/profile_page.cpp)
configure_file(${profile_page_folder}/page.cpp.in ${profile_page_source} @ONLY)
