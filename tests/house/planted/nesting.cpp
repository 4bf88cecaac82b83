// planted as kernels/linear/linear.cpp.
// Three blocks are right, four are not; a lambda begins again.
void three(int n) {
  for (int i = 0; i < n; ++i) {
    if (i > 1) {
      while (n) {
        n = Point{i, 1}.x;
        run([&](int k) {
          if (k) {
            --n;
          }
        });
      }
    } else if (n) {
      --n;
    } else if (n > 3) {
      --n;
    } else {
      --n;
    }
  }
}
void switches(int n) {
  switch (n) {
    case 1: {
      for (;;) {
        if (n) {
          --n;
        }
      }
    }
    default:
      for (;;) {
        do {
          try {  // FAULT
            --n;
          } catch (...) {
          }
        } while (n);
      }
  }
}
#ifdef PLANTED
void branch(int n) {
#else
void branch(long n) {
#endif
  for (;;)
    for (;;) {
      for (;;)
        for (;;) {  // FAULT
          --n;
        }
    }
}
