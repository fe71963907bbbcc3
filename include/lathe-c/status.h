/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What every function of Lathe's C API that can fail returns.
 *
 *   lathe_status_t status = lathe_bundle_open("model.lathe", NULL, &bundle);
 *   if (status) {
 *     fprintf(stderr, "%s\n", lathe_status_message(status));
 *     lathe_status_destroy(status);
 *   }
 *
 * NULL means success and costs nothing. Anything else is an error object that
 * the caller owns and must destroy. Nothing in the library prints, aborts on
 * bad input, throws, or keeps a "last error" in a global.
 */
#ifndef LATHE_C_STATUS_H
#define LATHE_C_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) || defined(__clang__)
#define LATHE_API __attribute__((visibility("default")))
#define LATHE_MUST_CHECK __attribute__((warn_unused_result))
#else
#define LATHE_API
#define LATHE_MUST_CHECK
#endif

/* An error, or NULL. It is not tied to the object that reported it: it stays
 * valid after that object is destroyed, and may travel to another thread. */
typedef struct lathe_status_impl *lathe_status_t;

/* Why a call failed. Numbers are part of the ABI and never re-used; a caller
 * must expect codes that it does not know. */
typedef enum lathe_code_t {
  LATHE_OK = 0,
  /* The arguments are wrong: a shape, a dtype, an index, a name. */
  LATHE_INVALID_ARGUMENT = 1,
  /* The file, or an entry, device or variant of that name, is not there. */
  LATHE_NOT_FOUND = 2,
  /* The bytes are no bundle, or a bundle that breaks an invariant. */
  LATHE_CORRUPT = 3,
  /* A bundle of a newer format than this runtime reads. */
  LATHE_UNSUPPORTED_VERSION = 4,
  /* The bundle is right, but this machine lacks what it needs. */
  LATHE_INCOMPATIBLE = 5,
  /* An allocation failed, or its size cannot be represented. */
  LATHE_OUT_OF_MEMORY = 6,
  /* The operating system refused something; the message says what. */
  LATHE_IO = 7,
  /* Data met during a run breaks what the model demands of it. */
  LATHE_FAILED_PRECONDITION = 8,
  /* Lathe does not do that (yet). */
  LATHE_UNIMPLEMENTED = 9,
  /* A defect of Lathe. */
  LATHE_INTERNAL = 10,
  /* A device failed in the middle of its work (a kernel touched memory that is
   * not there, the device fell off its bus). Until the process ends, or at
   * least until all that uses the device is destroyed, every further call on it
   * fails; the message has the driver's words. */
  LATHE_DEVICE_LOST = 11
} lathe_code_t;

/* LATHE_OK for NULL. */
LATHE_API lathe_code_t lathe_status_code(lathe_status_t status);

/* One line for a person: the file or argument, what was found and what is
 * allowed. "" for NULL. Valid until the status is destroyed. */
LATHE_API const char *lathe_status_message(lathe_status_t status);

/* A lower-case name of a code, as in "invalid argument"; "unknown" for a
 * number that this library does not know. Static. */
LATHE_API const char *lathe_code_name(lathe_code_t code);

/* Makes a status, for code that plugs into Lathe. `message` is copied. LATHE_OK
 * gives NULL. When memory is short, a static out-of-memory status comes back
 * (which may be destroyed like any other). */
LATHE_API LATHE_MUST_CHECK lathe_status_t
lathe_status_create(lathe_code_t code, const char *message);

/* Releases a status. NULL is allowed. */
LATHE_API void lathe_status_destroy(lathe_status_t status);

#ifdef __cplusplus
}
#endif

#endif /* LATHE_C_STATUS_H */
