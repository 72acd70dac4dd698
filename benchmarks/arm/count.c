/* Counts the instructions an AArch64 program executes under qemu-user, by class.

   A plugin for QEMU's TCG, interface versions 1 and 2 (QEMU 4.2 to 9.0). Built and used by instructions.py:

       cc -O2 -fPIC -shared -o libcount.so count.c
       qemu-aarch64 -plugin libcount.so,out=FILE PROGRAM

   Every block of code is classified when it is translated and counted when it is entered, so a block that a signal
   leaves half-way counts whole. FILE gets a line "class=count ..." of all so far whenever the program calls getppid,
   which worker.py does after each inference. With one thread the counts are the same in every run. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is used of QEMU's plugin interface; Debian has no package with its header. */
typedef uint64_t plugin_id;
struct block;
struct instruction;
typedef struct {
  const char* target_name;
} plugin_target; /* its first field is all that is read */
enum { NO_REGISTERS = 0, GETPPID = 173 };
size_t qemu_plugin_tb_n_insns(const struct block* block);
struct instruction* qemu_plugin_tb_get_insn(const struct block* block, size_t index);
const void* qemu_plugin_insn_data(const struct instruction* instruction);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*call)(plugin_id, struct block*));
void qemu_plugin_register_vcpu_tb_exec_cb(struct block* block, void (*call)(unsigned, void*), int flags, void* data);
typedef void (*on_syscall)(plugin_id, unsigned cpu, int64_t number, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                           uint64_t, uint64_t, uint64_t);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id id, on_syscall call);

#ifndef PLUGIN_VERSION
#define PLUGIN_VERSION 1
#endif
__attribute__((visibility("default"))) int qemu_plugin_version = PLUGIN_VERSION;

enum { FMLA, DOT, SIMD, LOAD_STORE_SIMD, LOAD_STORE, BRANCH, INTEGER, OTHER, CLASSES };
static const char* const kNames[CLASSES] = {"fmla",       "dot",    "simd",    "load_store_simd",
                                            "load_store", "branch", "integer", "other"};

struct counted {
  uint64_t entered;
  uint32_t of_class[CLASSES];
  struct counted* next;
};
static struct counted* all;
static const char* output;

/* Fused multiply-adds of vectors, by a vector or by one of its elements, of float32, float64 and float16. */
static int is_fmla(uint32_t word) {
  return (word & 0xbfa0fc00u) == 0x0e20cc00u || (word & 0xbf80f400u) == 0x0f801000u ||
         (word & 0xbfc0f400u) == 0x0f001000u || (word & 0xbfe0fc00u) == 0x0e400c00u;
}

/* sdot and udot, by a vector or an element, and the products of matrices smmla and ummla. */
static int is_dot(uint32_t word) {
  return (word & 0x9f20fc00u) == 0x0e009400u || (word & 0x9f00f400u) == 0x0f00e000u ||
         (word & 0xdfe0fc00u) == 0x4e80a400u;
}

/* The top level of the A64 encoding, bits 28 to 25; bit 26 tells SIMD loads and stores from the others. */
static int class_of(uint32_t word) {
  const uint32_t group = word >> 25 & 15;
  if (is_fmla(word)) return FMLA;
  if (is_dot(word)) return DOT;
  if ((group & 5) == 4) return (word >> 26 & 1) ? LOAD_STORE_SIMD : LOAD_STORE;
  if ((group & 7) == 7) return SIMD;
  if ((group & 14) == 10) return BRANCH;
  if ((group & 14) == 8 || (group & 7) == 5) return INTEGER;
  return OTHER;
}

static void entered(unsigned cpu, void* data) {
  (void)cpu;
  ++((struct counted*)data)->entered;
}

static void translated(plugin_id id, struct block* block) {
  (void)id;
  struct counted* counted = calloc(1, sizeof *counted);
  if (counted == NULL) {
    fputs("count: out of memory\n", stderr);
    abort();
  }
  for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); ++i) {
    uint32_t word = 0;
    memcpy(&word, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(block, i)), sizeof word);
    ++counted->of_class[class_of(word)];
  }
  counted->next = all;
  all = counted;
  qemu_plugin_register_vcpu_tb_exec_cb(block, entered, NO_REGISTERS, counted);
}

static void called(plugin_id id, unsigned cpu, int64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                   uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
  (void)id, (void)cpu, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
  if (number != GETPPID) return;
  uint64_t sums[CLASSES] = {0};
  for (const struct counted* block = all; block != NULL; block = block->next) {
    for (int i = 0; i < CLASSES; ++i) sums[i] += block->entered * block->of_class[i];
  }
  FILE* file = fopen(output, "a");
  if (file == NULL) {
    perror(output);
    return;
  }
  for (int i = 0; i < CLASSES; ++i) fprintf(file, "%s=%" PRIu64 "%c", kNames[i], sums[i], i + 1 < CLASSES ? ' ' : '\n');
  fclose(file);
}

__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const plugin_target* target, int count,
                                                               char** arguments) {
  if (strcmp(target->target_name, "aarch64") != 0) {
    fputs("count: only AArch64 programs are counted\n", stderr);
    return -1;
  }
  for (int i = 0; i < count; ++i) {
    if (strncmp(arguments[i], "out=", 4) == 0) output = strdup(arguments[i] + 4);
  }
  if (output == NULL) {
    fputs("count: out=FILE is missing\n", stderr);
    return -1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_vcpu_syscall_cb(id, called);
  return 0;
}
