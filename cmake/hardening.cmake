# Hardening of release builds; a sanitizer build goes without. tests/house/elf_test.py reads what
# came of it.
set(FORNAX_HARDENED OFF)
set(FORNAX_HARDENING_FLAGS "")
set(FORNAX_HARDENING_LINK_FLAGS "")
if(FORNAX_HARDENING AND NOT FORNAX_SANITIZE AND CMAKE_BUILD_TYPE MATCHES "Rel")
  set(FORNAX_HARDENED ON)
  # Debian's and Ubuntu's compilers may define a lower level themselves.
  set(FORNAX_HARDENING_FLAGS -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong
    -fstack-clash-protection)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    list(APPEND FORNAX_HARDENING_FLAGS -fcf-protection=full)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    list(APPEND FORNAX_HARDENING_FLAGS -mbranch-protection=standard)
  endif()
  set(FORNAX_HARDENING_LINK_FLAGS -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
endif()
