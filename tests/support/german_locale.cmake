# cmake -DLOCALEDEF=... -DDIRECTORY=... -P german_locale.cmake: makes DIRECTORY/de_DE.UTF-8, for tests that set LOCPATH=DIRECTORY. Where that
# cannot be done it says why, and those tests show as skipped.
if(NOT LOCALEDEF)
  message(STATUS "no German locale: there is no localedef")
  return()
endif()
file(MAKE_DIRECTORY ${DIRECTORY})
execute_process(COMMAND ${LOCALEDEF} -i de_DE -f UTF-8 ${DIRECTORY}/de_DE.UTF-8 ERROR_VARIABLE error RESULT_VARIABLE result)
if(NOT EXISTS ${DIRECTORY}/de_DE.UTF-8/LC_NUMERIC)
  message(STATUS "no German locale: localedef returns ${result}: ${error}")
endif()
