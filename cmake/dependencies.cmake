# What the build takes from the system; nothing is downloaded. Package names: cmake/packages.
find_package(Threads REQUIRED)
find_path(HIGHWAY_INCLUDE_DIR hwy/highway.h REQUIRED)
find_package(spdlog REQUIRED)
