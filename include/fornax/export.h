// FORNAX_API: what the shared library shows; everything else is hidden.
#pragma once

#define FORNAX_API __attribute__((visibility("default")))
