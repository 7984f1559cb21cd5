// Reads a configuration of whole numbers, such as {"ticketsMax": 4}, and refuses everything else: a plugin this small brings no
// JSON library, and a misspelt name must not decide by defaults.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

// A setting that must be there, between two bounds.
typedef struct {
  const char *name;
  uint32_t min, max;
  uint32_t value;
  bool is_there;
} setting_t;

static const char *does_not_fit(const char *name, size_t length, const char *why) {
  static char message[160];
  if (length > 64) length = 64;
  snprintf(message, sizeof message, "the configuration does not fit: %.*s: %s", (int)length, name, why);
  return message;
}

static const char *out_of_bounds(const setting_t *setting) {
  static char why[64];
  snprintf(why, sizeof why, "a whole number from %u to %u is wanted", (unsigned)setting->min, (unsigned)setting->max);
  return does_not_fit(setting->name, strlen(setting->name), why);
}

static size_t skip_spaces(const char *text, size_t length, size_t at) {
  while (at < length && (text[at] == ' ' || text[at] == '\t' || text[at] == '\r' || text[at] == '\n')) at++;
  return at;
}

// Reads the value of one setting, and moves behind it. Returns NULL, or what does not fit.
static const char *read_value(const char *text, size_t length, size_t *at, setting_t *setting) {
  uint64_t value = 0;
  size_t begin = *at;
  for (; *at < length && text[*at] >= '0' && text[*at] <= '9'; (*at)++) {
    value = value * 10 + (uint64_t)(text[*at] - '0');
    if (value > setting->max) return out_of_bounds(setting);
  }
  // What follows must end the value: 2.5 and 2e3 are no whole numbers here.
  bool ends = *at < length && strchr(" \t\r\n,}", text[*at]);
  if (*at == begin || !ends || value < setting->min || setting->is_there) return out_of_bounds(setting);
  setting->value = (uint32_t)value;
  setting->is_there = true;
  return NULL;
}

// Reads all settings. Returns NULL, or what does not fit, for the log.
static const char *read_settings(const uint8_t *config, size_t length, setting_t *settings, size_t count) {
  const char *text = (const char *)config;
  const char *const wrong = "the configuration does not fit: an object of whole numbers is wanted";
  size_t at = skip_spaces(text, length, 0);
  if (at >= length || text[at++] != '{') return wrong;
  at = skip_spaces(text, length, at);
  bool is_first = true;
  while (at < length && text[at] != '}') {
    if (!is_first && text[at++] != ',') return wrong;
    is_first = false;
    at = skip_spaces(text, length, at);
    if (at >= length || text[at++] != '"') return wrong;
    const char *name = text + at;
    while (at < length && text[at] != '"') at++;
    size_t name_length = (size_t)(text + at - name);
    at = skip_spaces(text, length, at + 1);
    if (at >= length || text[at++] != ':') return wrong;
    at = skip_spaces(text, length, at);
    setting_t *setting = NULL;
    for (size_t index = 0; index < count; index++) {
      bool is_this = strlen(settings[index].name) == name_length && !memcmp(settings[index].name, name, name_length);
      if (is_this) setting = &settings[index];
    }
    if (!setting) return does_not_fit(name, name_length, "there is no such setting");
    const char *failure = read_value(text, length, &at, setting);
    if (failure) return failure;
    at = skip_spaces(text, length, at);
  }
  if (at >= length || skip_spaces(text, length, at + 1) != length) return wrong;
  for (size_t index = 0; index < count; index++) {
    if (!settings[index].is_there) return out_of_bounds(&settings[index]);
  }
  return NULL;
}
