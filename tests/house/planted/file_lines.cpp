// planted as kernels/linear/linear.cpp, repeated 101 times.
// A file of 404 lines.
int first();
int second();

