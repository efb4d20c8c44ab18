/* First process of every pod: holds the pod's namespaces until the container runtime ends it. */
#include <unistd.h>

int main(void) {
  for (;;) pause();
}
