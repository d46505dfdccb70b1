/* As much of an Arduino core as a sketch with serial output needs, on a machine with a console. */
#pragma once

#include <stdio.h>

struct Console {
  void begin(unsigned long) {}
  void print(const char *text) { printf("%s", text); }
  void print(char c) { putchar(c); }
  void print(int value) { printf("%d", value); }
  void print(long value) { printf("%ld", value); }
  void print(unsigned long value) { printf("%lu", value); }
  void print(double value) { printf("%.2f", value); }
  void println() { putchar('\n'); }
  template <typename T>
  void println(T value) {
    print(value);
    println();
  }
};

static Console Serial;

inline unsigned long micros() { return 0; }
inline void delay(unsigned long) {}

void setup();
void loop();

int main() {
  setup();
  loop();
}
