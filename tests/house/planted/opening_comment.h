// planted as include/fornax/planted.h.
#pragma once  // FAULT
