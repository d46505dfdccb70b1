#pragma once

#define ESP_SECTION_(name, counter) __attribute__((section(name "." #counter)))
#define ESP_SECTION(name, counter) ESP_SECTION_(name, counter)
#define DRAM_ATTR ESP_SECTION(".dram1", __COUNTER__)
