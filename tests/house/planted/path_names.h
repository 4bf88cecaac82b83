// planted as kernels/host/string_utils.h.
// A name that says nothing.  FAULT
