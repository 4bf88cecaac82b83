// planted as kernels/linear/linear.cpp.
// Six parameters are right, seven are not.
#include <map>

template <class A, class B, class C, class D, class E, class F, class G>
int six(A a, std::map<B, C> b, int (*c)(int, int, int), D d, E e = {1, 2}, F f = F(1, 2)) {
  return 0;
}
class Planted {
 public:
  Planted(int a, int b, int c, int d, int e, int f, int g) : a_{a}, b_(b) {}  // FAULT
  Planted operator()(int a, int b, int c, int d, int e, int f, int g) const noexcept {  // FAULT
    return *this;
  }

 private:
  int a_ = call(1, 2, 3, 4, 5, 6, 7), b_{};
};
__global__ void __launch_bounds__(256, 1) kernel(int a, int b, int c, int d, int e, int f) {}
extern "C" int cublasLtPlanted(int a, int b, int c, int d, int e, int f, int g) { return 0; }
auto lambda = [](int a, int b, int c, int d, int e, int f, int g) { return a; };  // FAULT
