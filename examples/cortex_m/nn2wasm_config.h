/* The network's .c file includes this where it is on the include path. */

/* Weights get a section of their own, which link.ld puts into flash. */
#define NN_WEIGHTS __attribute__((section(".weights")))

/* Between layers the watchdog is fed; 0: go on. */
void feed_watchdog(void);
#define NN_BETWEEN_LAYERS(done) (feed_watchdog(), 0)
