// planted as kernels/linear/linear.cpp.
// 100 columns are right, 101 are not.
constexpr int hundred_columns_ = 1;  // ---------------------------------------------------------xyz
constexpr int one_more_column_ = 1;  // ---------------------------------------------------------FAULT
