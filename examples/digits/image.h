/* One of the 360 test images, a handwritten 7: ink from 0 (paper) to 16, row by row. The networks here want ink / 16. */
static const unsigned char digit_ink[64] = {
     0,  0,  2, 13, 16,  9,  0,  0,
     0,  0, 12, 12,  7, 16,  3,  0,
     0,  1, 14,  3,  0, 16,  4,  0,
     0,  0,  0,  4, 10, 16,  6,  0,
     0,  0,  0, 13, 16, 16,  9,  0,
     0,  0,  0,  5, 13,  1,  0,  0,
     0,  0,  0, 11,  9,  0,  0,  0,
     0,  0,  1, 16,  4,  0,  0,  0,
};
