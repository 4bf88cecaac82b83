// A header that leans on what its reader included before.
#pragma once

std::vector<int> extents();
