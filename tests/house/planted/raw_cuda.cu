// planted as kernels/linear/linear.cu.
// The text "asm volatile" and <<<1, 1>>> in a comment or a string is no fault.
#include "kernels/device/launch.cuh"
#include <cuda_runtime.h>  // FAULT
const char* text = "asm <<<1, 1>>>(x)";
void start() {
  kernel<<<1, 32>>>(x);  // FAULT
  asm volatile("bar.sync 0;");  // FAULT
}
